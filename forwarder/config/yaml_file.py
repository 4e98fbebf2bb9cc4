"""Reads the YAML file: every fault names line and column, a key given twice is a fault, dates stay text.

Nothing of the file's content is quoted in a fault, since PyYAML's own messages show the line and the line may hold a
secret.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import yaml

from forwarder.config.layers import Layer
from forwarder.config.problems import Path as Keys
from forwarder.config.problems import Problem, dotted, shown_key

if TYPE_CHECKING:
    from pathlib import Path

MAX_BYTES = 4 * 2**20
MAX_NODES = 100_000
"""Aliases can make a small file endless; a configuration has a few hundred nodes."""

_TIMESTAMP = "tag:yaml.org,2002:timestamp"
_MERGE = "tag:yaml.org,2002:merge"


_DECIMAL = {
    "tag:yaml.org,2002:int": re.compile(r"[-+]?(?:0|[1-9][0-9]*)"),
    "tag:yaml.org,2002:float": re.compile(
        r"[-+]?(?:[0-9]+\.[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)"
    ),
}


class _Number:
    """Matches the whole of a number in decimals, as a compiled pattern does."""

    def __init__(self, pattern: re.Pattern[str]) -> None:
        self.match = pattern.fullmatch


class _Loader(yaml.SafeLoader):
    """A safe loader to which `start: 2026-01-31`, `window: 010` and `patience: 1:30` are not dates and other numbers.

    YAML 1.1 reads the last two as 8 and as 90.
    """


_Loader.yaml_implicit_resolvers = {
    first: [
        (tag, _Number(_DECIMAL[tag]) if tag in _DECIMAL else pattern) for tag, pattern in resolvers if tag != _TIMESTAMP
    ]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


class _FaultError(Exception):
    def __init__(self, path: str, what: str, fix: str) -> None:
        super().__init__(what)
        self.problem = Problem(path, what, fix)


def read_yaml(path: Path, *, begins: str = "sources:") -> tuple[Layer, list[Problem]]:
    """Read a file into a layer. Never raises for what is in the file, nor for a file that cannot be read.

    Args:
        path: The file.
        begins: A line that such a file may begin with.
    """
    layer, walk = Layer(path.name), _Walk(path.name)
    try:
        tree = _parse(_content(path), walk)
    except _FaultError as fault:
        return layer, [fault.problem]
    except yaml.YAMLError as error:
        return layer, [_explain(path.name, error)]
    except (RecursionError, ValueError) as error:
        return layer, [Problem(path.name, *(_DEEP if isinstance(error, RecursionError) else _LONG_NUMBER))]
    if walk.problems:
        return layer, walk.problems
    if not isinstance(tree, dict):
        return layer, [Problem(path.name, "not a map of settings", f"begin with a line such as `{begins}`")]
    layer.tree, layer.places = tree, walk.places
    return layer, []


def _content(path: Path) -> str:
    try:
        with path.open("rb") as file:  # it may be a pipe, or without end
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise _FaultError(str(path), f"cannot be read: {error.strerror}", "name the right file with --config") from None
    if len(content) > MAX_BYTES:
        raise _FaultError(str(path), "too large for a configuration", "name the right file with --config")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise _FaultError(f"{path.name} line {line}", "not UTF-8 text", "save the file as UTF-8") from None


def _parse(text: str, walk: _Walk) -> Any:
    """Build the tree, unless the walk over its nodes finds fault."""
    loader = _Loader(text)
    try:
        node = loader.get_single_node()
        if node is None:
            return {}
        walk.visit(node, ())
        return None if walk.problems else loader.construct_document(node)
    finally:
        loader.dispose()


class _Walk:
    """Notes where every key stands, and finds keys given twice, before anything is built."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.places: dict[Keys, str] = {}
        self.problems: list[Problem] = []
        self._nodes = 0

    def visit(self, node: yaml.Node, path: Keys) -> None:
        self._nodes += 1
        if self._nodes > MAX_NODES:
            raise yaml.MarkedYAMLError(problem="more nodes than a configuration has", problem_mark=node.start_mark)
        if isinstance(node, yaml.SequenceNode):
            for index, item in enumerate(node.value):
                self.places[(*path, index)] = self._at(item)
                self.visit(item, (*path, index))
        elif isinstance(node, yaml.MappingNode):
            self._visit_mapping(node, path)

    def _visit_mapping(self, node: yaml.MappingNode, path: Keys) -> None:
        seen: dict[str, str] = {}
        for key, value in node.value:
            if key.tag == _MERGE:
                for merged in value.value if isinstance(value, yaml.SequenceNode) else [value]:
                    self.visit(merged, path)
                continue
            if not isinstance(key, yaml.ScalarNode) or key.tag == "tag:yaml.org,2002:null":
                self.problems.append(self._odd_key(key))
                continue
            if key.tag != "tag:yaml.org,2002:str":
                self.problems.append(
                    Problem(self._at(key), f"the key {shown_key(key.value)} is not read as text", "put it in quotes")
                )
                continue
            here = (*path, key.value)
            if key.value in seen:
                self.problems.append(
                    Problem(dotted(here), f"given twice, first in {seen[key.value]}", "keep one", self._at(key))
                )
            seen.setdefault(key.value, self._at(key))
            self.places[here] = self._at(key)
            self.visit(value, here)

    def _odd_key(self, key: yaml.Node) -> Problem:
        if isinstance(key, yaml.MappingNode):  # `{{ name }}` is read as a map whose key is a map
            return Problem(self._at(key), "a template such as {{ … }} that nothing fills in", "write the value itself")
        return Problem(self._at(key), "a key must be plain text", "write `key: value`")

    def _at(self, node: yaml.Node) -> str:
        return f"{self.file} line {node.start_mark.line + 1}"


_DEEP = ("nested without end", "look at the brackets, and at the aliases with * and &")
_LONG_NUMBER = ("a number with thousands of digits", "look for long numbers")
_LOOK_ALIKES = {
    "\u00a0": "a no-break space, which only looks like a space",
    "\u3000": "a wide space, which only looks like a space",
    "\uff1a": "a wide colon, which only looks like a colon",
    "\u2003": "a wide space, which only looks like a space",
}
_LOOK = "look at the indentation and the colons there and above, and put values with one of * & ! % @ : # in quotes"
_QUOTE = "put the value in quotes"

# Fragments of PyYAML's sentences, with what they mean to whoever wrote the file; the first that fits counts.
_WORDS = (
    (r"'\t'", ("not YAML: a tab", "set lines in with spaces, two for each step")),
    ("'@'", ("not YAML: a value that begins with @", _QUOTE)),
    ("'`'", ("not YAML: a value that begins with `", _QUOTE)),
    ("'%'", ("not YAML: a value that begins with %", _QUOTE)),
    ("mapping values are not allowed", ("not YAML: a second colon, or a line set in too far", _LOOK)),
    ("could not find expected ':'", ("not YAML: a line without a colon", "write `key: value`, and " + _LOOK)),
    ("undefined alias", ("not YAML: a value that begins with *", _QUOTE)),
    (
        "could not determine a constructor",
        ("not YAML: a value that begins with !, a tag that nothing reads here", _QUOTE),
    ),
    ("alphabetic or numeric character", ("not YAML: a value that begins with * or &", _QUOTE)),
    ("end of stream", ("not YAML: a quote or a bracket is never closed", "close it")),
    ("expected <block end>", ("not YAML: lines of one group are set in differently", _LOOK)),
    ("',' or '}'", ("not YAML: a { is not closed, or a comma is missing", _LOOK)),
    ("',' or ']'", ("not YAML: a [ is not closed, or a comma is missing", _LOOK)),
    (
        "special characters are not allowed",
        ("not YAML: a character that does not print", "save the file as UTF-8 text"),
    ),
    ("another document", ("a second document begins", "keep one, and leave out the --- between them")),
    ("<document start>", ("not YAML: it goes on in another form, such as TOML or INI", "write `key: value`")),
    ("for merging", ("not YAML: behind << stands something other than a map", "write <<: *name, of a map with &name")),
    ("more nodes", ("more nodes than a configuration has", "look at the aliases with * and &")),
)


def _explain(file: str, error: yaml.YAMLError) -> Problem:
    """Describe a fault by its place and PyYAML's own words, without the words of the file that it quotes."""
    mark: Any = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    problem = getattr(error, "problem", None) or getattr(error, "reason", None) or "not YAML"
    unknown = f"not YAML: {_without_quotes(str(problem))}"
    what, fix = next((ours for theirs, ours in _WORDS if theirs in str(problem)), (unknown, _LOOK))
    if mark is None:
        return Problem(file, what, "look for characters that do not print")
    place = f"{file} line {mark.line + 1} column {mark.column + 1}"
    if odd := next((name for char, name in _LOOK_ALIKES.items() if char in _lines_at(mark)), None):
        return Problem(place, f"not YAML: there or on the line above stands {odd}", "type it again by hand")
    return Problem(place, what, fix)


def _lines_at(mark: Any) -> str:
    """Return the line of a mark and the one above."""
    lines = (getattr(mark, "buffer", None) or "").split("\n")
    return "\n".join(lines[max(0, mark.line - 1) : mark.line + 1])


def _without_quotes(problem: str) -> str:
    """Cut a message at the first word it quotes from the file; single characters and names of tokens may stay."""
    kept = ""
    for piece in re.split(r"('.'|'<[a-z -]+>')", problem):
        quote = re.search(r"['\"]", piece) if len(piece) != len("'x'") and not piece.startswith("'<") else None
        if quote:
            return f"{kept}{piece[: quote.start()]}…"
        kept += piece
    return kept
