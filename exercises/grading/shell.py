"""An IPython shell without a kernel: it runs cells and collects what they show."""

from __future__ import annotations

import base64
import io
import sys
from typing import Any, ClassVar

from IPython.core.displayhook import DisplayHook
from IPython.core.displaypub import DisplayPublisher
from IPython.core.error import UsageError
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.text import SList
from traitlets import Type
from traitlets.config import Config

MIME_TYPES = ("text/plain", "image/png", "image/jpeg", "image/svg+xml")
# Magics that speak to a front end, which is not there, or change how cells are edited.
_FRONT_END = {"matplotlib", "gui", "config", "autoreload", "aimport"}
_FRONT_END |= {"load_ext", "reload_ext", "unload_ext", "autosave", "connect_info", "qtconsole"}
_PROGRAMS = {"pip", "conda", "mamba", "micromamba", "uv", "sx", "system", "!", "bash", "sh"}
_PROGRAMS |= {"script", "perl", "ruby", "pypy", "python", "python2", "python3", "cmd"}


class Outputs:
    """The outputs of the cell that is running, up to a number of characters in all.

    Parameters
    ----------
    budget
        Characters that all cells together may show.
    """

    def __init__(self, budget: int) -> None:
        self.budget = budget
        self.items: list[dict[str, Any]] = []

    def take(self) -> list[dict[str, Any]]:
        """Return what was collected, and begin anew."""
        items, self.items = self.items, []
        return items

    def stream(self, name: str, text: str) -> None:
        """Add text that was printed."""
        if self.budget <= 0:
            return
        if len(text) > self.budget:
            text = text[: self.budget] + "\n... what follows is not kept ...\n"
        self.budget -= len(text)
        last = self.items[-1] if self.items else {}
        if last.get("output_type") == "stream" and last.get("name") == name:
            last["text"].append(text)
        else:
            self.items.append({"output_type": "stream", "name": name, "text": [text]})

    def show(self, kind: str, data: dict[str, Any]) -> None:
        """Add something that was displayed, in the forms that a page can show safely."""
        kept = {}
        for mime in MIME_TYPES:
            value = data.get(mime)
            if isinstance(value, bytes):
                value = base64.b64encode(value).decode()
            if isinstance(value, str):
                kept[mime] = value
        size = sum(map(len, kept.values()))
        if kept and size <= self.budget:
            self.budget -= size
            self.items.append({"output_type": kind, "data": kept, "metadata": {}})

    def error(self, name: str, text: str, traceback: list[str]) -> None:
        """Add an error, however much was shown before."""
        lines = [line[:4000] for line in traceback[:60]]
        self.items.append(
            {"output_type": "error", "ename": name, "evalue": text[:4000], "traceback": lines}
        )


class _Stream(io.TextIOBase):
    def __init__(self, name: str, outputs: Outputs) -> None:
        self._name, self._outputs = name, outputs

    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        self._outputs.stream(self._name, str(text))
        return len(text)


class _Publisher(DisplayPublisher):
    outputs: ClassVar[Outputs]

    def publish(self, data: dict[str, Any], *rest: Any, **options: Any) -> None:
        self.outputs.show("display_data", data)

    def clear_output(self, wait: bool = False) -> None:
        self.outputs.items.clear()


class _Hook(DisplayHook):
    outputs: ClassVar[Outputs]

    def start_displayhook(self) -> None:
        pass

    def write_output_prompt(self) -> None:
        pass

    def write_format_data(self, format_dict: dict[str, Any], md_dict: Any = None) -> None:
        self.outputs.show("execute_result", format_dict)

    def finish_displayhook(self) -> None:
        pass


class Shell(InteractiveShell):
    """A shell that collects outputs instead of printing them.

    What works in Jupyter and cannot work here costs a line of output, not the rest of the cell.
    """

    outputs: ClassVar[Outputs]
    displayhook_class = Type(_Hook)
    display_pub_class = Type(_Publisher)

    def _showtraceback(self, etype: Any, evalue: Any, stb: Any) -> None:
        lines = [str(line) for line in stb]
        lines += getattr(evalue, "__notes__", [])
        # Python from 3.11 on and IPython add notes of their own accord, in some forms of traceback.
        kept = [line for k, line in enumerate(lines) if line not in lines[:k]]
        self.outputs.error(etype.__name__, str(evalue), kept)

    def enable_gui(self, gui: Any = None) -> None:
        """Do nothing: pictures are shown in the notebook anyway."""

    def enable_matplotlib(self, gui: Any = None) -> tuple[Any, str]:
        """Do nothing: matplotlib draws into the notebook from the start."""
        return gui, "inline"

    def ask_exit(self) -> None:
        """Say that the notebook goes on, where `exit()` or `quit()` would end it."""
        print("The notebook is graded to its end: exit() and quit() do nothing here.")

    def system(self, cmd: str) -> None:
        """Say that a program is not started."""
        print(f"No programs can be started here, the cell goes on without: {cmd}")
        self.user_ns["_exit_code"] = 1

    system_piped = system_raw = system

    def getoutput(self, cmd: str, split: bool = True, depth: int = 0) -> Any:
        """Say that a program is not started; its output is empty."""
        self.system(cmd)
        return SList([]) if split else ""

    def run_line_magic(self, magic_name: str, line: str, _stack_depth: int = 1) -> Any:
        """Run a magic, unless it is for a front end or a program; an unknown one is a line."""
        if magic_name in _FRONT_END:
            return None
        if magic_name in _PROGRAMS:
            return self.getoutput(f"%{magic_name} {line}")
        try:
            return super().run_line_magic(magic_name, line, _stack_depth + 1)
        except UsageError as error:
            print(f"%{magic_name} does nothing here: {error}")
            return None

    def run_cell_magic(self, magic_name: str, line: str, cell: str) -> Any:
        """Run a magic of a whole cell, unless it would start a program."""
        if magic_name in _PROGRAMS:
            return self.system(f"%%{magic_name} {line}")
        return super().run_cell_magic(magic_name, line, cell)  # type: ignore[no-untyped-call]


def start(budget: int) -> Shell:
    """Start the one shell of this process; from now on it collects what is printed."""
    outputs = Outputs(budget)
    _Publisher.outputs = _Hook.outputs = Shell.outputs = outputs
    config = Config()
    config.HistoryManager.enabled = False
    config.InteractiveShell.colors = "nocolor"
    shell: Shell = Shell.instance(config=config)
    sys.stdout, sys.stderr = _Stream("stdout", outputs), _Stream("stderr", outputs)
    return shell


def run(shell: Shell, source: str, silent: bool = False) -> list[dict[str, Any]]:
    """Run one cell and return its outputs in the form of notebooks, its errors included.

    A silent cell does not show its last value, which saves drawing a picture that nobody sees.
    """
    try:
        shell.run_cell(source, store_history=True, silent=silent)  # type: ignore[no-untyped-call]
    except BaseException as error:  # the shell itself was broken by what ran in it
        shell.outputs.error(type(error).__name__, str(error), [])
    items = shell.outputs.take()
    for item in items:
        if item["output_type"] == "stream":
            item["text"] = "".join(item["text"])
        elif item["output_type"] == "execute_result":
            item["execution_count"] = shell.execution_count - 1
    return items
