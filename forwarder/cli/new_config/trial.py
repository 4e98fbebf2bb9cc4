"""Tries single answers, so that what cannot be meant is said when it is given, and not after the last question.

The rules are those of `check`: the answers so far, and a typical one to each other question, become settings that are
examined, and what is said of the asked setting counts. Nothing is written for that.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, NamedTuple

from pydantic import ValidationError

from forwarder.assembly import close_all
from forwarder.cli.commands.check import examine
from forwarder.cli.new_config.choices import all_of
from forwarder.config.explain import Explainer
from forwarder.config.layers import Layer
from forwarder.config.problems import Problem, SettingsError, blotted, secrets_in
from forwarder.config.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from forwarder.cli.new_config.choices import Choice, Kind, Question

_SURROUNDINGS = {"spool.path": "--state", "admin.listen": "--listen"}


class Surroundings(NamedTuple):
    """What the command line settles beside the answers: folder of the spool, and address of the admin port."""

    state: Path
    listen: str


def bad_options(chosen: Iterable[tuple[Kind, Choice]], meant: Mapping[str, str], around: Surroundings) -> list[Problem]:
    """Return what is wrong with options, by option.

    Args:
        chosen: What is chosen already.
        meant: Answers by option.
        around: What holds beside them; it is looked at, too.
    """
    asked = {
        f"{kind}.{choice.name}.{one.setting}": one.option
        for kind, choice in chosen
        for one in choice.questions
        if one.option in meant
    }
    values: dict[Kind, dict[str, str]] = {
        kind: {one.setting: meant[one.option] for one in choice.questions if one.option in meant}
        for kind, choice in chosen
    }
    options = asked | _SURROUNDINGS
    return [
        Problem(option, one.what, one.fix)
        for one in _examined(_tree(around, chosen, values))
        if (option := options.get(one.path.removesuffix("_file"))) is not None
    ]


def bad_answer(
    kind: Kind, choice: Choice, values: Mapping[str, str], question: Question, around: Surroundings
) -> list[Problem]:
    """Return what is wrong with the answer to a question; `values` hold it and those before it, by setting."""
    path = f"{kind}.{choice.name}.{question.setting}"
    found = _examined(_tree(around, [(kind, choice)], {kind: values}))
    return [one for one in found if one.path.removesuffix("_file") == path]


def _tree(
    around: Surroundings, chosen: Iterable[tuple[Kind, Choice]], values: Mapping[Kind, Mapping[str, str]]
) -> dict[str, Any]:
    """Return settings: the answers, and a typical one where there is none yet."""
    tree: dict[str, Any] = {"spool": {"path": str(around.state / "spool.db")}, "admin": {"listen": around.listen}}
    choices: dict[Kind, Choice] = {"sources": all_of("sources")[0], "sinks": all_of("sinks")[-1]}
    choices.update(chosen)
    for kind, choice in choices.items():
        typical = {one.setting: one.default or one.typical for one in choice.questions}
        answered = values.get(kind, {})
        optional = {one.setting for one in choice.questions if one.optional}
        tree[kind] = {
            choice.name: {"type": choice.type}
            | {name: text for name, text in {**typical, **answered}.items() if text or name not in optional}
        }
    return tree


def _examined(tree: dict[str, Any]) -> list[Problem]:
    try:
        parts = examine(Settings(**tree))
    except ValidationError as error:
        layer = Layer("answers", tree, {(key,): "answers" for key in tree})
        return blotted(Explainer(Settings, tree, [layer]).problems(error), secrets_in(tree))
    except SettingsError as error:
        return list(error.problems)
    asyncio.run(close_all([*parts.sources.values(), *parts.sinks.values()]))
    return []
