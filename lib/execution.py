"""Execute a notebook with papermill, so that its metadata and its error messages are true."""

import logging
import os
import signal
import subprocess
import tempfile
from pathlib import Path
from typing import Any, TextIO

import jupytext
import nbformat
import papermill
from jupyter_client import AsyncKernelManager
from nbclient.exceptions import DeadKernelError
from papermill.engines import NBClientEngine, papermill_engines
from papermill.exceptions import PapermillExecutionError
from traitlets import Callable, Dict
from traitlets.config import Config

from lib import files, processes
from lib.errors import ChapterError, UserError
from lib.processes import bound


def _names(error: type[UserError]) -> set[str]:
    return {error.__name__}.union(*map(_names, error.__subclasses__()))


_OURS = _names(UserError)


class TruthfulEngine(NBClientEngine):
    """Papermill's engine, with the cell in which a kernel died marked as failed.

    Papermill itself marks that cell as `completed`, without an exception.
    """

    @classmethod
    def execute_managed_notebook(cls, nb_man: Any, kernel_name: str, **kwargs: Any) -> None:
        """Execute, and mark the last started cell as failed where the kernel died."""
        try:
            super().execute_managed_notebook(nb_man, kernel_name, **kwargs)
        except DeadKernelError as error:
            started = [i for i, cell in enumerate(nb_man.nb.cells) if cell.metadata.papermill.start_time]
            nb_man.cell_exception(nb_man.nb.cells[started[-1]], cell_index=started[-1], exception=error)
            nb_man.save()
            raise


def _told(error: PapermillExecutionError, notebook: Path) -> tuple[str, str]:
    """Return the error of a notebook's cell in the form of `lib.errors.described`, and its name."""
    name = error.ename
    if name == "CellExecutionError":  # IPython could not show the error, and printed its name
        cells = nbformat.read(notebook, as_version=4).cells
        failed = next(cell for cell in cells if cell.metadata.get("papermill", {}).get("exception"))
        name = "".join(output.get("text", "") for output in failed.outputs).strip().rpartition("\n")[2]
    if name == "MemoryError":
        return "out of memory", name
    return error.evalue if name in _OURS else f"{name}: {error.evalue}".removesuffix(": "), name


def _death(process: subprocess.Popen, kills: int) -> tuple[str, str]:
    """Return how a kernel died, in words, and the name of the cause; `kills` is the system's count before."""
    code = process.poll()
    if code is None or code >= 0:
        return f"with exit code {code}", ""
    name = signal.Signals(-code).name
    if -code == signal.SIGKILL and processes.out_of_memory_kills() > kills:
        return "the system killed it, out of memory", MemoryError.__name__
    return f"killed by {name}", name


class KernelManager(AsyncKernelManager):
    """A kernel that ends with this process and writes its stderr into a file beside its sockets.

    `environment` is added to its environment variables, and `on_start` gets its process. The file is shown where
    the kernel died; stderr of the notebook's cells is part of their outputs.
    """

    environment = Dict().tag(config=True)
    on_start = Callable(id).tag(config=True)

    async def _async_launch_kernel(self, kernel_cmd: list[str], **kw: Any) -> None:
        kw["env"] = kw["env"] | self.environment
        with _stderr_beside(self.connection_file).open("wb") as stderr:
            await super()._async_launch_kernel(bound(kernel_cmd, signal.SIGKILL), stderr=stderr, **kw)
        self.on_start(self.provisioner.process)


def _stderr_beside(connection_file: str) -> Path:
    return Path(connection_file).with_name("stderr")


papermill_engines.register("truthful", TruthfulEngine)


def _places(folder: str) -> dict[str, str]:
    """Return the variables of a kernel whose temporary files lie in a folder.

    TensorFlow and PyTorch leave some where they are killed. What `torch.compile` has made outlives the kernel, so that
    the next run with the same network need not compile it.
    """
    compiled = Path(tempfile.gettempdir(), f"paired-seeds-compiled-{os.getuid()}")
    return {"TMPDIR": folder, "TORCHINDUCTOR_CACHE_DIR": os.environ.get("TORCHINDUCTOR_CACHE_DIR", str(compiled))}


def execute(
    source: Path,
    target: Path,
    parameters: dict[str, Any],
    console: TextIO | None = None,
    environment: dict[str, str] | None = None,
) -> None:
    """Execute a chapter's `.py` half with parameters and save the notebook at `target`, after an error too.

    The notebook's output goes to `console` while it runs, and `environment` is added to the kernel's. The kernel has a
    temporary folder of its own, with its sockets, since TCP ports can collide where several kernels start at once. It
    is killed at the end, since a framework takes seconds to shut down; by then all that a chapter writes is written.

    Raises:
        ChapterError: a cell raised an error, whose message and name it has, or the kernel died.
    """
    kernels: list[subprocess.Popen] = []
    kills = processes.out_of_memory_kills()
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:  # a kernel's children can outlive it
        connection = f"{folder}/kernel.json"
        options = {"transport": "ipc", "connection_file": connection}
        options["environment"] = _places(folder) | (environment or {})
        options["on_start"] = kernels.append
        try:
            papermill.execute_notebook(
                jupytext.read(source),
                target,
                parameters,
                engine_name="truthful",
                kernel_name="python3",
                language="python",
                progress_bar=False,
                stdout_file=console,
                stderr_file=console,
                cwd=source.parent,
                kernel_manager_class=KernelManager,
                shutdown_kernel="immediate",
                config=Config(KernelManager=options),
            )
        except PapermillExecutionError as error:
            message, name = _told(error, target)
            raise ChapterError(f"{source.name}: {message}", name) from None
        except KeyboardInterrupt:
            # The cell's task ends too, and asyncio would log that its exception was never retrieved.
            logging.getLogger("asyncio").setLevel(logging.CRITICAL)
            raise
        except RuntimeError as error:  # a DeadKernelError, or jupyter_client's error where the kernel never replied
            if "Kernel died" not in str(error):
                raise
            last_words = _stderr_beside(connection).read_text(errors="replace").strip().splitlines()[-1:]
            how, cause = _death(kernels[-1], kills) if kernels else ("before it began", "")
            why = "".join(f": {line}" for line in last_words)
            raise ChapterError(f"{source.name}: the kernel died ({how}){why}", cause) from None


def mark(notebook: Path, state: str, error: str) -> None:
    """Say in an executed notebook's metadata and in a last cell how its run ended, if the notebook can be read."""
    try:
        content = nbformat.read(notebook, as_version=4)
    except (OSError, nbformat.reader.NotJSONError):
        return
    content.metadata["paired_seeds"] = {"state": state, "error": error}
    content.cells.append(nbformat.v4.new_markdown_cell(f"**This run has no result: {state}.** {error}".rstrip()))
    files.write_text(notebook, nbformat.writes(content))
