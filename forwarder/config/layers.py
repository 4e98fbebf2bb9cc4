"""The places settings come from, each read into a tree with a note of where every leaf stands.

From weak to strong: a YAML file, a secrets directory, the environment, `--set` on the command line. A text from
anywhere but YAML is a `Text`: it may still have to be read as JSON, once it is known which setting it is for.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from forwarder.config.problems import Path as Keys
from forwarder.config.problems import Problem, shown_key
from forwarder.contracts.secret_file import read_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

PREFIX = "FORWARDER__"
DELIMITER = "__"
MAPS = ("sources", "sinks", "budgets")
"""Settings that are maps keyed by a name of the user's choice."""

SHORT_FORMS = {"privacy": "preset", "redact": "preset"}
"""Settings that may be one word, and which of their parts that is."""

SECTIONS = ("spool", *MAPS, "places", "admin", "log", "shutdown")


class Text(str):
    """A text from outside YAML; `file` is the file it came from, so that a secret can follow it."""

    __slots__ = ("file",)
    file: Path | None

    def __new__(cls, value: str, file: Path | None = None) -> Self:
        """Keep the file beside the text."""
        text = super().__new__(cls, value)
        text.file = file
        return text


@dataclass
class Layer:
    """One place.

    Attributes:
        tree: The settings it holds, nested.
        places: Where each of them stands, by path; what people read in an error.
        source: Short name of the place, such as the file or `environment`.
    """

    source: str
    tree: dict[str, Any] = field(default_factory=dict)
    places: dict[Keys, str] = field(default_factory=dict)

    def put(self, keys: Keys, value: Any, place: str) -> Problem | None:
        """Set a leaf; say what is wrong when something else already stands in the way."""
        branch = self.tree
        for depth, key in enumerate(keys[:-1]):
            branch = branch.setdefault(str(key), {})
            if not isinstance(branch, dict):
                other = self.places[keys[: depth + 1]]
                return Problem(place, f"{other} already sets everything above it", "keep one of the two")
        if isinstance(value, dict) and isinstance(branch.get(str(keys[-1])), dict):
            return Problem(place, "set twice", "keep one of the two")
        if str(keys[-1]) in branch:
            return Problem(
                place, f"{self.places.get(keys, 'the JSON of the whole section')} sets the same", "keep one of the two"
            )
        branch[str(keys[-1])] = value
        self.places[keys] = place
        return None


def leaves(tree: Mapping[str, Any], above: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Yield the path of everything in a tree that is no map, or an empty one."""
    for name, value in tree.items():
        if isinstance(value, dict) and value:
            yield from leaves(value, (*above, str(name)))
        else:
            yield (*above, str(name))


def read_environment(env: Mapping[str, str]) -> tuple[Layer, list[Problem]]:
    """Read every `FORWARDER__…` variable; case does not matter in their names."""
    layer, problems = Layer("environment"), []
    for name in sorted(env, key=lambda name: (name.count(DELIMITER), name)):
        upper = name.upper()
        if upper.startswith(PREFIX):
            keys = tuple(name[len(PREFIX) :].lower().split(DELIMITER))
            problems += _place(layer, keys, Text(env[name]), name, name)
        elif upper.startswith(f"AUDIT_{PREFIX}"):
            problems.append(Problem(name, "not read under this name", f"write {name[len('AUDIT_') :]}"))
        elif upper.startswith(tuple(f"FORWARDER_{section.upper()}{DELIMITER}" for section in SECTIONS)):
            right = PREFIX + name[len("FORWARDER_") :]
            problems.append(Problem(name, "one underscore is missing", f"write {right}"))
    return layer, problems


def read_secrets_dir(directory: Path) -> tuple[Layer, list[Problem]]:
    """Read a directory with one setting per file, named as in the environment without the prefix.

    Hidden files, folders and names without a double underscore are none of ours: a mounted secret has those.
    """
    layer = Layer("secrets directory")
    try:
        files = sorted(path for path in directory.iterdir() if DELIMITER in path.name and not path.name.startswith("."))
    except OSError as error:
        return layer, [Problem(str(directory), f"the secrets directory cannot be read: {error.strerror}", "mount it")]
    problems: list[Problem] = []
    for path in files:
        if path.is_dir():
            continue
        place = f"secrets file {path.name}"
        try:
            content = read_text(path).strip()
        except OSError as error:
            problems.append(Problem(str(path), f"cannot be read: {error.strerror}", "let this user read it"))
            continue
        except ValueError as error:
            what, _, fix = str(error).partition("; ")
            problems.append(Problem(str(path), f"cannot be read: {what}", fix))
            continue
        if not content:
            problems.append(Problem(str(path), "the file is empty", "write the value into it, or remove it"))
            continue
        problems += _place(layer, tuple(path.name.lower().split(DELIMITER)), Text(content, path), place, str(path))
    return layer, problems


def read_overrides(overrides: Iterable[str]) -> tuple[Layer, list[Problem]]:
    """Read `path.to.setting=value` from the command line; the last of two wins."""
    last: dict[str, str] = {}
    problems: list[Problem] = []
    for given in overrides:
        path, equals, value = given.partition("=")
        if equals and all(path.split(".")):
            last[path.strip()] = value
        else:
            problems.append(
                Problem(f"--set {shown_key(path)}", "not of the form PATH=VALUE", "write --set log.level=debug")
            )
    layer = Layer("command line")
    for path in sorted(last, key=lambda path: path.count(".")):
        problems += _place(layer, tuple(path.split(".")), Text(last[path]), f"--set {path}", f"--set {path}")
    return layer, problems


def _place(layer: Layer, keys: tuple[str, ...], text: Text, place: str, name: str) -> list[Problem]:
    """Put a text into a layer; a whole section or component given as JSON is read at once, to be merged with others."""
    if not all(keys):
        return [Problem(name, "not a setting: a name is empty between two underscores", f"write {PREFIX}SECTION__KEY")]
    value: Any = text
    if len(keys) == 1 or (keys[0] in MAPS and len(keys) == 2):  # a section, or a component in a map
        if keys[0] not in SECTIONS:
            layer.put(keys, text, place)
            return []
        try:
            value = json.loads(text)
        except (json.JSONDecodeError, RecursionError):
            value = None
        if not isinstance(value, dict):
            return [Problem(name, "a whole section must be a JSON object", f"set one key of it: {name}__KEY")]
    problem = layer.put(keys, value, place)
    return [problem] if problem else []
