"""Execute a notebook with papermill, so that its metadata and its error messages are true."""

import logging
import signal
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
from traitlets import Dict
from traitlets.config import Config

from lib.errors import ChapterError, UserError
from lib.processes import bound

_OURS = {error.__name__ for error in UserError.__subclasses__()}


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


def _told(error: PapermillExecutionError, notebook: Path) -> str:
    """Return the error of a notebook's cell in the form of `lib.errors.described`."""
    name = error.ename
    if name == "CellExecutionError":  # IPython could not show the error, and printed its name
        cells = nbformat.read(notebook, as_version=4).cells
        failed = next(cell for cell in cells if cell.metadata.get("papermill", {}).get("exception"))
        name = "".join(output.get("text", "") for output in failed.outputs).strip().rpartition("\n")[2]
    if name == "MemoryError":
        return "out of memory"
    return error.evalue if name in _OURS else f"{name}: {error.evalue}".removesuffix(": ")


class KernelManager(AsyncKernelManager):
    """A kernel that ends with this process and writes its stderr into a file beside its sockets.

    `environment` is added to its environment variables. The file is shown where the kernel died; stderr of the
    notebook's cells is part of their outputs.
    """

    environment = Dict().tag(config=True)

    async def _async_launch_kernel(self, kernel_cmd: list[str], **kw: Any) -> None:
        kw["env"] = kw["env"] | self.environment
        with _stderr_beside(self.connection_file).open("wb") as stderr:
            await super()._async_launch_kernel(bound(kernel_cmd, signal.SIGKILL), stderr=stderr, **kw)


def _stderr_beside(connection_file: str) -> Path:
    return Path(connection_file).with_name("stderr")


papermill_engines.register("truthful", TruthfulEngine)


def execute(
    source: Path,
    target: Path,
    parameters: dict[str, Any],
    console: TextIO | None = None,
    environment: dict[str, str] | None = None,
) -> None:
    """Execute a chapter's `.py` half with parameters and save the notebook at `target`, after an error too.

    The notebook's output goes to `console` while it runs, and `environment` is added to the kernel's. The kernel uses
    sockets in a folder of its own, since TCP ports can collide where several kernels start at once.

    Raises:
        ChapterError: a cell raised an error, whose message it has, or the kernel died.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as sockets:
        connection = f"{sockets}/kernel.json"
        options = {"transport": "ipc", "connection_file": connection, "environment": environment or {}}
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
                config=Config(KernelManager=options),
            )
        except PapermillExecutionError as error:
            raise ChapterError(f"{source.name}: {_told(error, target)}") from None
        except KeyboardInterrupt:
            # The cell's task ends too, and asyncio would log that its exception was never retrieved.
            logging.getLogger("asyncio").setLevel(logging.CRITICAL)
            raise
        except RuntimeError as error:  # a DeadKernelError, or jupyter_client's error where the kernel never replied
            if "Kernel died" not in str(error):
                raise
            last_words = _stderr_beside(connection).read_text(errors="replace").strip().splitlines()[-1:]
            why = "".join(f": {line}" for line in last_words)
            raise ChapterError(f"{source.name}: the kernel died (killed, or out of memory){why}") from None
