"""Asks on a terminal what the command line leaves open; without a terminal it names the options instead.

Invariant: a secret comes unseen from the terminal, from a file or from standard input, never from an argument.
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import typer

from forwarder.cli.new_config.choices import all_of, asks_for, choice_named, option_of
from forwarder.cli.tables import table
from forwarder.cli.terminal import print_line, screen
from forwarder.config.problems import Problem, SettingsError
from forwarder.registry import nearest

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from forwarder.cli.new_config.choices import Choice, Kind, Question

_LONGEST = 64 * 1024


@dataclass
class Answers:
    """What is to be written: a choice of each kind, and the answer to each of its questions by setting."""

    choices: dict[Kind, Choice] = field(default_factory=dict)
    values: dict[Kind, dict[str, str]] = field(default_factory=dict)


def is_asked() -> bool:
    """Tell whether there is someone to ask."""
    return sys.stdin.isatty() and sys.stdout.isatty()


def collect(types: Mapping[Kind, str | None], given: Mapping[str, str], before: Answers | None = None) -> Answers:
    """Return all answers: those given as options, and those that are typed.

    Args:
        types: The type of each kind that an option names.
        given: Values by option.
        before: The answers of the last try; they become the defaults.

    Raises SettingsError with the options that are missing when nobody can be asked, or that mean nothing here.
    """
    answers = Answers()
    missing: list[str] = []
    for kind, named in types.items():
        earlier = before.choices[kind].type if before is not None else ""
        choice = _choose(kind, named, earlier)
        if choice is None:
            missing.append(f"{option_of(kind)} ({', '.join(one.type for one in all_of(kind))})")
            continue
        answers.choices[kind] = choice
        known = before.values[kind] if before is not None else {}
        values, unanswered = _answered(choice, given, known)
        answers.values[kind] = values
        missing += unanswered
    _refuse_unused(answers, types, given)
    if missing:
        raise SettingsError(
            [Problem("init", "there is no terminal to ask on", f"name what is missing: {', '.join(missing)}")]
        )
    return answers


def _choose(kind: Kind, named: str | None, earlier: str) -> Choice | None:
    if named is not None:
        found = choice_named(kind, named)
        if found is None:
            known = [choice.type for choice in all_of(kind)]
            guess = nearest(named, known)
            fix = f"did you mean {guess}?" if guess else f"write one of: {', '.join(known)}"
            raise SettingsError([Problem(option_of(kind), "`init` writes nothing of this type", fix)])
        return found
    if not is_asked():
        return None
    print_line(asks_for(kind))
    choices = all_of(kind)
    rows = [(str(number), choice.type, choice.title) for number, choice in enumerate(choices, 1)]
    for line in table(rows, screen(), indent=2):
        print_line(line)
    default = next((number for number, choice in enumerate(choices, 1) if choice.type == earlier), 1)
    while True:
        said = typer.prompt("Number", default=str(default)).strip()
        by_name = choice_named(kind, said)
        if by_name is not None:
            return by_name
        if said.isascii() and said.isdigit() and len(said) < 3 and 1 <= int(said) <= len(choices):
            return choices[int(said) - 1]
        print_line(f"Write a number from 1 to {len(choices)}, or one of the names.")


def _answered(choice: Choice, given: Mapping[str, str], known: Mapping[str, str]) -> tuple[dict[str, str], list[str]]:
    values, missing = {}, []
    for question in choice.questions:
        if not question.option:
            continue
        if question.option in given:
            value = given[question.option]
        elif is_asked():
            value = _ask(question, known.get(question.setting, question.default))
        elif question.default or question.optional:
            value = question.default
        else:
            missing.append(question.option)
            continue
        if question.path and value:
            value = os.path.abspath(os.path.expanduser(value))  # noqa: PTH100, PTH111 -- links stay, `..` goes
        if value or not question.optional:
            values[question.setting] = value
    return values, missing


def _ask(question: Question, default: str) -> str:
    may_be_empty = question.optional or bool(default)
    shown = not question.secret
    said: str = typer.prompt(
        question.asks,
        default=default if default and shown else "" if may_be_empty else None,
        show_default=bool(default) and shown,
        hide_input=question.secret,
    )
    return said.strip() or default


def _refuse_unused(answers: Answers, types: Mapping[Kind, str | None], given: Mapping[str, str]) -> None:
    """Refuse an option that the chosen types do not have: it would be left out without a word."""
    if len(answers.choices) < len(types):
        return
    asked = {question.option for choice in answers.choices.values() for question in choice.questions}
    chosen = " and ".join(choice.type for choice in answers.choices.values())
    unused = [option for option in given if option not in asked]
    if unused:
        raise SettingsError(Problem(option, f"{chosen} do not take it", "leave it out") for option in unused)


def read_secrets(files: Mapping[str, str]) -> dict[str, str]:
    """Return the secret in each file, by option; `-` is standard input. Raises SettingsError.

    Args:
        files: Names of files by option.
    """
    if sum(name == "-" for name in files.values()) > 1:
        raise SettingsError([Problem("--token-file", "standard input can be read only once", "name a file")])
    return {option: _secret_in(option, name) for option, name in files.items()}


def _secret_in(option: str, name: str) -> str:
    try:
        if name == "-":
            content = sys.stdin.buffer.read(_LONGEST + 1)
        else:
            with open(name, "rb") as file:  # noqa: PTH123 -- a name as it was given
                content = file.read(_LONGEST + 1)
        text = content.decode().rstrip("\r\n")
    except UnicodeDecodeError:
        raise _bad(option, "it is not text in UTF-8") from None
    except (OSError, ValueError) as error:
        raise _bad(option, f"it cannot be read: {getattr(error, 'strerror', None) or 'no name of a file'}") from None
    if len(content) > _LONGEST:
        raise _bad(option, "it is too long for a key")
    if not text:
        raise _bad(option, "it is empty")
    return text


def _bad(option: str, what: str) -> SettingsError:
    return SettingsError([Problem(option, what, "name a file that holds the key and nothing else")])


def not_text(values: Iterable[tuple[str, str]]) -> list[Problem]:
    """Return a problem for each value that no file can hold as text."""
    problems = []
    for name, value in values:
        try:
            value.encode()
        except UnicodeEncodeError:
            problems.append(Problem(name, "it is not text in UTF-8", "write it again"))
    return problems
