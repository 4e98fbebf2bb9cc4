"""Asks on a terminal what the command line leaves open; without a terminal it names the options instead.

Each answer is tried when it is given: a typed one is asked for again with the reason, a bad option ends it before
anything is asked.

Invariant: a secret comes unseen from the terminal, from a file or from standard input, never from an argument.
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import typer

from forwarder.cli.new_config.choices import all_of, asks_for, choice_named, option_of
from forwarder.cli.new_config.trial import bad_answer, bad_options
from forwarder.cli.tables import table
from forwarder.cli.terminal import print_line, print_text, screen
from forwarder.config.problems import Problem, SettingsError
from forwarder.registry import nearest

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from forwarder.cli.new_config.choices import Choice, Kind, Question
    from forwarder.cli.new_config.trial import Surroundings

_LONGEST = 64 * 1024


@dataclass
class Answers:
    """What is to be written: a choice of each kind, and the answer to each of its questions by setting."""

    choices: dict[Kind, Choice] = field(default_factory=dict)
    values: dict[Kind, dict[str, str]] = field(default_factory=dict)


def is_asked() -> bool:
    """Tell whether there is someone to ask."""
    return sys.stdin.isatty() and sys.stdout.isatty()


def collect(
    types: Mapping[Kind, str | None], given: Mapping[str, str], around: Surroundings, before: Answers | None = None
) -> Answers:
    """Return all answers: those given as options, and those that are typed.

    Args:
        types: The type of each kind that an option names.
        given: Values by option.
        around: What holds beside the answers.
        before: The answers of the last try; they become the defaults.

    Raises SettingsError with the options that are missing where no question can be asked, that mean nothing here, or
    that cannot be meant.
    """
    answers = Answers()
    missing: list[str] = []
    named = {kind: _choice_of(kind, type_) for kind, type_ in types.items() if type_ is not None}
    problems = _bad_options(named, given, around)
    if problems and is_asked():
        raise SettingsError(problems)
    for kind in types:
        if kind in named:
            choice: Choice | None = named[kind]
        else:
            choice = _choose(kind, before.choices[kind].type if before is not None else "")
            if choice is not None and (bad := _bad_options({kind: choice}, given, around)):
                raise SettingsError(bad)
        if choice is None:
            missing.append(f"{option_of(kind)} ({', '.join(one.type for one in all_of(kind))})")
            continue
        answers.choices[kind] = choice
        known = before.values[kind] if before is not None else {}
        values, unanswered = _answered(kind, choice, given, known, around)
        answers.values[kind] = values
        missing += unanswered
    _refuse_unused(answers, types, given)
    if missing:
        fix = f"name what is missing: {', '.join(missing)}"
        problems.append(Problem("init", "there is no terminal to ask on", fix))
    if problems:
        raise SettingsError(problems)
    return answers


def _choice_of(kind: Kind, type_: str) -> Choice:
    found = choice_named(kind, type_)
    if found is None:
        known = [choice.type for choice in all_of(kind)]
        guess = nearest(type_, known)
        fix = f"did you mean {guess}?" if guess else f"write one of: {', '.join(known)}"
        raise SettingsError([Problem(option_of(kind), "`init` writes nothing of this type", fix)])
    return found


def _bad_options(choices: Mapping[Kind, Choice], given: Mapping[str, str], around: Surroundings) -> list[Problem]:
    asked = {one.option: one for choice in choices.values() for one in choice.questions}
    meant = {option: _meant(asked[option], value) for option, value in given.items() if option in asked}
    return bad_options(choices.items(), meant, around)


def _choose(kind: Kind, earlier: str) -> Choice | None:
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


def _answered(
    kind: Kind, choice: Choice, given: Mapping[str, str], known: Mapping[str, str], around: Surroundings
) -> tuple[dict[str, str], list[str]]:
    values: dict[str, str] = {}
    missing = []
    for question in choice.questions:
        if not question.option:
            continue
        if question.option in given:
            value = _meant(question, given[question.option])
        elif is_asked():
            while True:
                value = _meant(question, _ask(question, known.get(question.setting, question.default)))
                bad = bad_answer(kind, choice, {**values, question.setting: value}, question, around)
                if not bad:
                    break
                for one in bad:
                    print_text(f"{one.what}; {one.fix}" if one.fix else one.what, indent=2)
        elif question.default or question.optional:
            value = _meant(question, question.default)
        else:
            missing.append(question.option)
            continue
        if value or not question.optional:
            values[question.setting] = value
    return values, missing


def _meant(question: Question, value: str) -> str:
    if question.path and value:
        return os.path.abspath(os.path.expanduser(value))  # noqa: PTH100, PTH111 -- links stay, `..` goes
    return value


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
