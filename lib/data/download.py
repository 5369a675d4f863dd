"""Download one file, with a progress bar and a checksum; an interrupted download is resumed."""

import hashlib
import http.client
import shutil
import urllib.error
import urllib.request
from pathlib import Path

from tqdm import tqdm

from lib.data.disk import is_full_disk, require_space
from lib.errors import DataError

TIMEOUT_SECONDS = 60


def md5(path: Path) -> str:
    """Return the MD5 of a file's bytes in hexadecimal digits: the checksum that publishers of datasets give."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "md5").hexdigest()


def download(url: str, target: Path, checksum: str) -> Path:
    """Download `url` to `target` unless it is already there with the right MD5 `checksum`; return `target`.

    The bytes are written to `<target>.part`, from which the next call resumes after an interruption. If the server does
    not support Range requests, or the part is damaged, the download starts again.

    Raises:
        DataError: the server or the connection failed, the disk is full, or the file has another checksum.
    """
    if target.exists() and md5(target) == checksum:
        return target
    part = target.with_name(target.name + ".part")
    part.parent.mkdir(parents=True, exist_ok=True)
    try:
        _fetch(url, part)
    except (OSError, http.client.HTTPException) as error:
        if is_full_disk(error):
            raise
        raise DataError(
            f"the download of {url} failed ({error}); run the same command again to resume it, "
            "or get the file in another way and name it as the source"
        ) from error
    if (found := md5(part)) != checksum:
        part.unlink()
        raise DataError(f"{url}: the download has the checksum {found}, not {checksum}; it is damaged and was removed")
    return part.replace(target)


def _fetch(url: str, part: Path) -> None:
    """Append to `part` the rest of `url`; `OSError` if the connection ends too early."""
    start = part.stat().st_size if part.exists() else 0
    request = urllib.request.Request(url, headers={"Range": f"bytes={start}-"} if start else {})
    try:
        response = urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS)
    except urllib.error.HTTPError as error:
        if error.code != http.client.REQUESTED_RANGE_NOT_SATISFIABLE:
            raise
        return  # there are no more bytes: the checksum tells whether `part` is the whole file
    with response:
        resumed = response.status == http.client.PARTIAL_CONTENT
        start = start if resumed else 0
        length = response.headers.get("Content-Length")
        total = start + int(length) if length else None
        require_space(part.parent, int(length or 0), f"the download of {url}")
        with (
            part.open("ab" if resumed else "wb") as file,
            tqdm.wrapattr(file, "write", total=total, initial=start, desc=part.stem, miniters=1) as written,
        ):
            shutil.copyfileobj(response, written, 1 << 20)
    if total is not None and (size := part.stat().st_size) < total:
        raise ConnectionError(f"the connection ended after {size:,} of {total:,} bytes")
