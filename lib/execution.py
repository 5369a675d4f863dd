"""Run a notebook so that what it says of itself is true."""

import tempfile
from pathlib import Path
from typing import Any, TextIO

import jupytext
import papermill
from nbclient.exceptions import CellTimeoutError, DeadKernelError
from papermill.engines import NBClientEngine, papermill_engines
from papermill.exceptions import PapermillExecutionError
from traitlets.config import Config

from lib.errors import ChapterError, UserError

_OURS = {error.__name__ for error in UserError.__subclasses__()}


class TruthfulEngine(NBClientEngine):
    """Papermill's engine, but a killed kernel or a timeout leaves a notebook that says so.

    Papermill marks the cell a kernel died in as `completed`, with no exception; only the exit code differs.
    """

    @classmethod
    def execute_managed_notebook(cls, nb_man: Any, kernel_name: str, **kwargs: Any) -> None:
        """Execute, and mark the last cell that was started as failed where the kernel did not answer any more."""
        try:
            super().execute_managed_notebook(nb_man, kernel_name, **kwargs)
        except (DeadKernelError, CellTimeoutError) as error:
            started = [i for i, cell in enumerate(nb_man.nb.cells) if cell.metadata.papermill.start_time]
            nb_man.cell_exception(nb_man.nb.cells[started[-1]], cell_index=started[-1], exception=error)
            nb_man.save()
            raise


papermill_engines.register("truthful", TruthfulEngine)


def execute(source: Path, target: Path, parameters: dict[str, Any], console: TextIO | None = None) -> None:
    """Execute a chapter's `.py` half with parameters and save the notebook, as far as it came, at `target`.

    What the notebook prints goes to `console` while it runs. The kernel is reached through sockets in a folder of
    its own, since TCP ports can collide where several kernels start at once.

    Raises:
        ChapterError: a cell raised, or the kernel died; the message is the cell's own.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as sockets:
        connection = {"transport": "ipc", "connection_file": f"{sockets}/kernel.json"}
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
                config=Config(KernelManager=connection),
            )
        except PapermillExecutionError as error:
            message = error.evalue if error.ename in _OURS else f"{error.ename}: {error.evalue}"
            raise ChapterError(f"{source.name}: {message}") from None
        except DeadKernelError:
            raise ChapterError(f"{source.name}: the kernel died (killed, or out of memory)") from None
