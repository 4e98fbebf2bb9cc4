"""Turns what pydantic found into problems: where it stands, what is wrong in plain words, the nearest right name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from forwarder.config.layers import MAPS, PREFIX
from forwarder.config.other_names import ADVICE, right_name, right_type
from forwarder.config.problems import Problem, dotted, env_name, first_sentence, placed, shown_key
from forwarder.config.shape import below, model_at, resolve
from forwarder.config.words import QUOTE, explained
from forwarder.contracts.descriptions import descriptions
from forwarder.registry import nearest

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from pydantic import BaseModel, ValidationError
    from pydantic_core import ErrorDetails

    from forwarder.config.layers import Layer
    from forwarder.config.problems import Path as Keys

_SCALARS = {"bool_type", "bool_parsing", "int_type", "int_parsing", "int_from_float", "float_type", "float_parsing"}
_OF_SHAPE = {"string_type", "list_type", "dict_type", "model_type", "model_attributes_type"}
"""Faults that say only that a value has another shape than one of those it may have."""

_MAP_IN_JSON = ("not a map in JSON", 'write {"key": "value"}, with every text in double quotes')
_IN_JSON = {
    "list_type": ("not a list in JSON", 'write ["first", "second"], with every text in double quotes'),
    "dict_type": _MAP_IN_JSON,
    "model_type": _MAP_IN_JSON,
    "model_attributes_type": _MAP_IN_JSON,
}


class Explainer:
    """Explains the errors of one load.

    Args:
        root: The settings model.
        tree: What was merged from all layers, raw.
        layers: The layers, strongest first.
    """

    def __init__(self, root: type[BaseModel], tree: dict[str, Any], layers: Sequence[Layer]) -> None:
        self._root = root
        self._tree = tree
        self._layers = layers

    def problems(self, error: ValidationError) -> list[Problem]:
        """Return one problem per path, in the order of the settings."""
        by_path: dict[str, Problem] = {}
        found = [(self._path(details), details) for details in error.errors(include_url=False, include_input=False)]
        for path, details in self._nearest(found):
            problem = self._problem(path, details)
            first = by_path.setdefault(problem.path, problem)
            if first is not problem and problem.what not in first.what:
                by_path[problem.path] = Problem(first.path, f"{first.what}, or {problem.what}", first.fix, first.where)
        return list(by_path.values())

    def where(self, path: Keys) -> str:
        """Say where the value of a path comes from: the strongest layer that has it, or else what it stands in."""
        while path:
            for layer in self._layers:
                place = placed(layer.places, path)
                if place or _holds(layer.tree, path):
                    return place or next(at for end in range(len(path), 0, -1) if (at := layer.places.get(path[:end])))
            path = path[:-1]
        return ""

    def _nearest(self, found: list[tuple[Keys, ErrorDetails]]) -> Iterator[tuple[Keys, ErrorDetails]]:
        """Yield what a value of several allowed shapes was meant to be: the shape it has, and in it what is wrong."""
        paths = {path for path, _ in found}
        for path, details in found:
            shapes = {other["type"] for known, other in found if known == path}
            text = "string_type" in shapes and not isinstance(self._value(path), list | dict)
            if details["type"] in _OF_SHAPE:
                below = any(len(other) > len(path) and other[: len(path)] == path for other in paths)
                if below or shapes - _OF_SHAPE - _SCALARS or (text and details["type"] != "string_type"):
                    continue
            elif "string_type" in shapes and details["type"] in _SCALARS:
                continue
            yield path, details

    def _path(self, details: ErrorDetails) -> Keys:
        """Leave out what pydantic adds to a path for a union; a missing key alone stands in no tree."""
        node: Any = self._tree
        path: list[str | int] = []
        for position, part in enumerate(details["loc"]):
            try:
                node = node[part]
            except (KeyError, IndexError, TypeError):
                if position < len(details["loc"]) - 1 or details["type"] != "missing":
                    continue
            path.append(part)
        return tuple(path)

    def _problem(self, path: Keys, details: ErrorDetails) -> Problem:
        kind, context = details["type"], details.get("ctx", {})
        where, shown = self.where(path), dotted(path) or "the configuration"
        if kind == "extra_forbidden":
            return self._unknown(path, where)
        if kind == "missing":
            return self._missing(path, where)
        if kind == "no_type":
            return self._no_type(path, where, str(context["known"]))
        if kind in {"unknown_type", "broken_plugin"}:
            what, fix = str(context["problem"]), _right_type(context) if kind == "unknown_type" else ""
            return Problem(f"{shown}.type", what, fix, self.where((*path, "type")))
        if kind == "string_pattern_mismatch" and path[:1] and path[0] in MAPS and len(path) == 2:
            fix = "write small letters, digits and single underscores, beginning with a letter"
            return Problem(f"the name {shown}", "not usable", fix, where)
        return Problem(shown, *self._other(path, details, where), where)

    def _other(self, path: Keys, details: ErrorDetails, where: str) -> tuple[str, str]:
        """Return fault and fix in our words, or in the component's."""
        kind = details["type"]
        if kind == "too_short" and len(path) == 1:
            return "nothing is configured", f"add at least one of the {dotted(path)}"
        if kind == "secret" and isinstance(self._value(path), int | float):
            value = self._value(path)
            return f"a {'switch' if isinstance(value, bool) else 'number'}, not a text", QUOTE
        value = self._value(path)
        if kind in _IN_JSON and isinstance(value, str) and where.upper().startswith((PREFIX, "--SET")):
            return _IN_JSON[kind]
        return explained(kind, details.get("ctx", {}), details["msg"], value)

    def _unknown(self, path: Keys, where: str) -> Problem:
        parent, key = path[:-1], str(path[-1])
        model = model_at(self._root, self._tree, parent)
        known = self._names(model)
        guess = right_name(key, model, known)
        fix = f"known keys: {', '.join(known)}"
        from_env = where.upper().startswith(PREFIX)
        if advice := ADVICE.get(key.lower()):
            fix = advice
        elif not from_env and (":" in key or "=" in key or " " in key or not shown_key(key)[:1].isalpha()):
            fix = "write `key: value`, with a colon and a space"
        elif guess is None and key.partition(".")[0] in known:
            fix = f"write `{key.partition('.')[0]}:` and the rest set in below it, one name a line"
        elif guess is None and (section := next((name for name in known if _leads_on(model, name, key)), None)):
            right = (*parent, section, key.removeprefix(f"{section}_"))
            fix = f"did you mean {env_name(right) if from_env else dotted(right)}?"
        elif guess:
            fix = (
                f"did you mean {env_name((*parent, *guess.split('.'))) if where.upper().startswith(PREFIX) else guess}?"
            )
        return Problem(dotted(path), "unknown key" if parent else "unknown section", fix, where)

    def _missing(self, path: Keys, where: str) -> Problem:
        model = model_at(self._root, self._tree, path[:-1])
        name = str(path[-1])
        meaning = first_sentence(descriptions(model).get(name)) if model else ""
        secret = f" or {name}_file" if model and name in getattr(model, "secret_fields", list)() else ""
        return Problem(dotted(path), "missing", f"set {name}{secret}{f' ({meaning})' if meaning else ''}", where)

    def _no_type(self, path: Keys, where: str, known: str) -> Problem:
        """A component without a type is often a known one with a typo in its name."""
        section, name = str(path[0]), str(path[-1])
        value = self._value(path)
        if isinstance(value, dict) and value.get("type") is not None:
            return Problem(f"{dotted(path)}.type", "not a text", f"write one of: {known}", self.where((*path, "type")))
        others = [
            other
            for other, value in self._keys((section,)).items()
            if other != name and isinstance(value, dict) and "type" in value
        ]
        guess = nearest(name, others)
        from_env = where.upper().startswith(PREFIX)
        if guess:
            nearest_name = env_name((section, guess)) + "__…" if from_env else f"{section}.{guess}"
            return Problem(dotted(path), f"no {section[:-1]} has this name", f"did you mean {nearest_name}?", where)
        key = env_name((*path, "type")) if from_env else "type"
        return Problem(dotted(path), "has no type", f"set {key} to one of: {known}", where)

    def _value(self, path: Keys) -> Any:
        node: Any = self._tree
        for key in path:
            try:
                node = node[key]
            except (KeyError, IndexError, TypeError):  # what is wrong with a model may stand in no key of it
                return None
        return node

    def _keys(self, path: Keys) -> dict[str, Any]:
        node = self._value(path)
        return node if isinstance(node, dict) else {}

    @staticmethod
    def _names(model: type[BaseModel] | None) -> list[str]:
        if model is None:
            return []
        secrets: list[str] = getattr(model, "secret_fields", list)()
        return [*model.model_fields, *(f"{name}_file" for name in secrets)]


def _right_type(context: Mapping[str, Any]) -> str:
    known = f"known types: {', '.join(context['known']) or 'none'}"
    guess = right_type(context["type"], context["known"])
    return f"did you mean {guess}? ({known})" if guess else known


def _leads_on(model: type[BaseModel] | None, name: str, key: str) -> bool:
    """Tell whether a key is written in one word with the group that it may stand in."""
    return key.startswith(f"{name}_") and resolve(below(model, name), {"": None}) is not None


def _holds(tree: Any, path: Keys) -> bool:
    """Tell whether a raw tree has something at a path."""
    for key in path:
        try:
            tree = tree[key]
        except (KeyError, IndexError, TypeError):
            return False
    return True
