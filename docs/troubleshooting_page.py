"""The page about troubleshooting: every message of the code that names a fix, found in the source itself.

A message is the text of a call that has `fix=`; what it holds at run time is shown as `…`. No list is
kept, so none is forgotten.
"""

from __future__ import annotations

import ast
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from docs.markdown import code, table
from forwarder.admin.advice import ADVICE, UNKNOWN
from forwarder.contracts import SinkTraits
from forwarder.contracts.errors import RETRY_FIXES
from forwarder.registry import SINKS

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parent.parent
_PARTS = {
    "sinks/": "Destinations",
    "forwarder/sources": "Sources",
    "forwarder/receiving": "Sources",
    "forwarder/polling": "Reading",
    "forwarder/net": "Connections",
    "forwarder/spool": "The spool",
    "forwarder/delivery": "Delivery",
    "forwarder/records": "Delivery",
    "forwarder/formats": "Delivery",
    "forwarder/archive": "The archive",
    "forwarder/investigate": "Investigating",
    "forwarder/config": "The configuration",
    "forwarder/preflight": "The configuration",
    "forwarder/registry": "The configuration",
    "forwarder/assembly": "The configuration",
    "forwarder/catalogue": "The configuration",
    "forwarder/doctor": "This machine",
}
"""Headings, by where the code stands; what has none is of the daemon and its commands."""

_SAYS = ("detail", "message", "text")
"""Names of arguments that hold what is said, where it is not the first text."""

_REST = "The daemon and its commands"
_ANYTHING = "…"

INTRO = """\
What the forwarder says, and what to do about it. `…` stands for what a message has there at the time: a name, an
address, the words of the other side. Begin with `audit-forwarder status`: it has the message, since when, how often,
the next try, and the same advice.
"""


class Message(NamedTuple):
    """A text that people read, and what to do.

    Attributes:
        part: Heading below which it stands.
        text: With `…` for what is known at run time only.
        fix: What to do; empty where it comes from elsewhere at run time.
    """

    part: str
    text: str
    fix: str


def troubleshooting() -> str:
    """Return the page without its title."""
    by_part: dict[str, dict[str, str]] = defaultdict(dict)
    for message in sorted(messages()):
        by_part[message.part].setdefault(message.text, message.fix)
    chapters = [
        f"## {part}\n\n{table(['Message', 'What to do'], list(map(list, found.items())))}"
        for part, found in by_part.items()
    ]
    return "\n".join([INTRO, *chapters, _letters(), _kinds()])


def messages() -> Iterator[Message]:
    """Yield every message with a fix that stands in the code."""
    paths = sorted([*(ROOT / "forwarder").rglob("*.py"), *(ROOT / "sinks").rglob("*.py")])
    trees = {path.relative_to(ROOT).as_posix(): ast.parse(path.read_text(encoding="utf-8")) for path in paths}
    constants = {name: texts for tree in trees.values() for name, texts in _assigned(tree).items() if name.isupper()}
    for place, tree in trees.items():
        part = next((part for begins, part in _PARTS.items() if place.startswith(begins)), _REST)
        functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
        for within in (tree, *functions):
            calls = [call for call in _calls(within) if any(word.arg == "fix" for word in call.keywords)]
            known = constants | _assigned(within) if calls else {}
            for call in calls:
                named = {word.arg: word.value for word in call.keywords}
                texts = (_text(node, known) for node in (*(named[name] for name in _SAYS if name in named), *call.args))
                text, fix = next(filter(None, texts), ""), _text(named["fix"], known)
                if fix.strip(f"{_ANYTHING} ") and text.strip(f"{_ANYTHING} :,()"):
                    yield Message(part, text, fix)


def _calls(within: ast.AST) -> Iterator[ast.Call]:
    """Yield the calls that stand in this function, or outside of all, and not in a function inside."""
    for node in ast.iter_child_nodes(within):
        if isinstance(node, ast.Call):
            yield node
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield from _calls(node)


def _assigned(tree: ast.AST) -> dict[str, list[str]]:
    """Return the texts that names stand for somewhere in a module or function."""
    found: dict[str, list[str]] = defaultdict(list)
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign):
            for target in node.targets:
                if isinstance(target, ast.Name) and (text := _text(node.value, {})):
                    found[target.id].append(text)
    return dict(found)


def _text(node: ast.expr, known: dict[str, list[str]]) -> str:
    """Return what a text looks like, or nothing for what is none; where it may be one of several, all of them."""
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, str) else ""
    if isinstance(node, ast.JoinedStr):
        return "".join(str(part.value) if isinstance(part, ast.Constant) else _ANYTHING for part in node.values)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        return _text(node.left, known) + _text(node.right, known)
    if isinstance(node, ast.IfExp):
        return " / ".join(filter(None, (_text(node.body, known), _text(node.orelse, known))))
    if isinstance(node, ast.BoolOp):
        return " / ".join(filter(None, (_text(value, known) for value in node.values)))
    return " / ".join(dict.fromkeys(known.get(node.id, ()))) if isinstance(node, ast.Name) else ""


def _letters() -> str:
    rows = [[code(reason), advice, "every sink"] for reason, advice in ADVICE.items()]
    for name in SINKS.names():
        of_sink = SinkTraits.of(SINKS.load(name)).advice
        rows += [[code(reason), advice, code(name)] for reason, advice in of_sink.items()]
    rows.append(["any other", UNKNOWN, "every sink"])
    intro = "By their reason ([dead letters](../dead-letters.md))."
    return f"## Dead letters\n\n{intro}\n\n{table(['Reason', 'What to do', 'Of'], rows)}"


def _kinds() -> str:
    rows = [[code(kind), fix] for kind, fix in RETRY_FIXES.items()]
    intro = "By the label `kind` of metrics, where the message itself says nothing else."
    return f"## Faults that may pass\n\n{intro}\n\n{table(['Kind', 'What to do'], rows)}"
