"""The form of every help: what a value is called, examples, exit codes. The same words on a terminal and in a pipe."""

from __future__ import annotations

import sys
import textwrap
from copy import copy
from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command_name
from typer.models import CommandInfo

from forwarder.exit_codes import ExitCode
from forwarder.observe.colours import coloured

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

Function = TypeVar("Function", bound="Callable[..., Any]")
IN_COLOUR = coloured(sys.stdout)
"""Help has boxes and colours; else it is plain text."""

_WIDTH = 76
"""Columns of a terminal that is narrow, without what help puts before each line."""


_WHOLE = 1000


_HYPHEN, _WHOLE_HYPHEN = "-", "\u2011"
_Plain: Any = typer.Context.formatter_class


class _Formatter(_Plain):  # type: ignore[misc]
    """Folds no word at its hyphens: paths, commands and options stay whole, and can be copied."""

    def write_text(self, text: str) -> None:
        """Write a paragraph."""
        super().write_text(text.replace(_HYPHEN, _WHOLE_HYPHEN))

    def write_dl(self, rows: Any, *args: Any, **more: Any) -> None:
        """Write a list of names, each with what it is."""
        super().write_dl([(name, text.replace(_HYPHEN, _WHOLE_HYPHEN)) for name, text in rows], *args, **more)

    def getvalue(self) -> str:
        """Return all of it."""
        written: str = super().getvalue()
        return written.replace(_WHOLE_HYPHEN, _HYPHEN)


class _Context(typer.Context):
    formatter_class = _Formatter


class _InWords:
    """Names values by what they are: typer's own names are those of Python's types, such as `list[str]`.

    In a list of commands each has its whole first sentence, on as many lines as it takes.
    """

    def get_short_help_str(self, limit: int = 45) -> str:
        """Return the first sentence of the help; typer cuts it where one line ends."""
        del limit
        whole: str = super().get_short_help_str(_WHOLE)  # type: ignore[misc]
        return whole

    def get_params(self, ctx: Any) -> list[Any]:
        """Return the options and arguments."""
        found: list[Any] = super().get_params(ctx)  # type: ignore[misc]
        for param in found:
            param.display_type_rich = _called(param)
        return found


def _called(param: Any) -> Any:
    """Return what gives a value its name; an argument has one already, and an option that is a switch has no value."""
    silent = param.param_type_name == "argument" or param.is_flag
    name = "" if silent else param.metavar or param.name.upper()
    return lambda ctx: name  # noqa: ARG005 -- asked by name


class Command(_InWords, TyperCommand):
    """A command."""

    context_class = _Context


class Commands(_InWords, TyperGroup):
    """A group of commands."""

    context_class = _Context


class App(typer.Typer):
    """Commands whose help has this form."""

    def __init__(self, *, help: str, epilog: str, cls: type[Commands] = Commands, **options: Any) -> None:  # noqa: A002
        markup: Any = "rich" if IN_COLOUR else None
        super().__init__(cls=cls, help=help, epilog=epilog, no_args_is_help=True, rich_markup_mode=markup, **options)

    def names(self) -> list[str]:
        """Return the names of the commands, and not of the groups."""
        return [_name(one) for one in self.registered_commands]

    def __call__(self, *args: Any, **more: Any) -> Any:
        """Run the command that the command line names. Only that one is made: all sixty take 60 ms."""
        word = sys.argv[1] if sys.argv[1:] else ""
        called = copy(self)
        called.registered_commands = [one for one in self.registered_commands if _name(one) == word]
        called.registered_groups = [one for one in self.registered_groups if one.name == word]
        found = called if called.registered_commands or called.registered_groups else self
        return typer.Typer.__call__(found, *args, **more)

    def command(  # type: ignore[override]
        self, name: str | None = None, *, epilog: str
    ) -> Callable[[Function], Function]:
        """Return what makes a function a command of this name; default: its own."""

        def decorate(function: Function) -> Function:
            named = super(App, self).command(name, cls=Command, epilog=epilog, help=_unfolded(function.__doc__))
            return named(function)

        return decorate


def _unfolded(text: str | None) -> str:
    """Return a docstring with each paragraph on one line: a terminal has other lines than the code."""
    return "\n\n".join(" ".join(part.split()) for part in (text or "").split("\n\n"))


def _name(command: CommandInfo) -> str:
    return command.name or get_command_name(command.callback.__name__ if command.callback else "")


def examples_epilog(examples: Iterable[tuple[str, str]], *codes: ExitCode) -> str:
    """Return an epilog of examples and exit codes, one a line in either form of help."""
    shown = sorted({ExitCode.OK, *codes, ExitCode.CONFIGURATION})
    blocks = [
        ["Examples:", *(line for command, why in examples for line in _example(command, why))],
        ["Exit codes:", *(line for code in shown for line in _code(code))],
    ]
    texts = ["\n".join(block) for block in blocks]
    if IN_COLOUR:
        return "\n\n".join(text.replace("[", r"\[") for text in texts)
    return "\n\n".join(f"\b\n{text}" for text in texts)  # \b: typer's plain help folds no lines after it


def _example(command: str, why: str) -> list[str]:
    """Return a line, or two where one would be wider than a terminal."""
    line = f"  {command}   # {why}"
    return [line] if len(line) <= _WIDTH else [f"  # {why}", f"  {command}"]


@cache  # sixty commands name the same few, at every start
def _code(code: ExitCode) -> list[str]:
    number = f"  {int(code)}  "
    return textwrap.wrap(code.meaning, _WIDTH, initial_indent=number, subsequent_indent=" " * len(number))
