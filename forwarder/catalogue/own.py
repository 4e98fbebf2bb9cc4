"""Records that users keep themselves, in YAML: actions we do not know, or know otherwise.

::

    actions:
      jira_flux_calibrated:
        act: change             # with `object`, the rest follows from the catalogue's own table
        object: issue
        outcome: success
        severity: 5
        reason: our release depends on it

Whatever a record leaves out comes from what the catalogue says of the action without it. Every fault names file and
line.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Annotated, Any, Literal

import msgspec
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from forwarder.catalogue import load_catalogue, read_table
from forwarder.catalogue.meaning import Meaning
from forwarder.catalogue.names import known_acts, known_objects, known_products
from forwarder.catalogue.ocsf import ocsf_classes
from forwarder.config.problems import Problem, SettingsError, dotted
from forwarder.config.words import explained
from forwarder.config.yaml_file import read_yaml
from forwarder.contracts.secret_file import refuse_odd
from forwarder.registry import nearest

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from pydantic_core import ErrorDetails

    from forwarder.catalogue import Catalogue

_NEARLY = 0.88
"""Likeness from which a word of one's own is taken for a typo."""

_MANY = 60

_Word = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]*$", max_length=40)]


class _Ocsf(BaseModel):
    model_config = ConfigDict(extra="forbid", populate_by_name=True)
    class_: Annotated[int, Field(alias="class", ge=1001, le=8999)]
    activity: Annotated[int, Field(ge=0, le=99)]


class _Record(BaseModel):
    """One record as it stands in the file."""

    model_config = ConfigDict(extra="forbid")
    name: Annotated[str, Field(max_length=200)] | None = None
    product: _Word | None = None
    act: _Word | None = None
    object: _Word | None = None
    category: str | None = None
    types: Annotated[list[str], Field(min_length=1)] | None = None
    outcome: Literal["success", "failure", "unknown"] | None = None
    severity: Annotated[int, Field(strict=True, ge=1, le=10)] | None = None
    reason: Annotated[str, Field(max_length=200)] | None = None
    ocsf: _Ocsf | None = None
    target: Literal["target", "impersonated"] | None = None


def local_records(files: Iterable[Path]) -> dict[str, Meaning]:
    """Read the files. Raises SettingsError with everything that is wrong."""
    records, problems = _read(files)
    if problems:
        raise SettingsError(problems)
    return records


def check_files(files: Iterable[Path]) -> list[Problem]:
    """Return what is wrong with the files."""
    return _read(files)[1]


def _read(files: Iterable[Path]) -> tuple[dict[str, Meaning], list[Problem]]:
    records: dict[str, Meaning] = {}
    problems: list[Problem] = []
    catalogue: Catalogue | None = None
    for file in files:
        path = file.expanduser()
        try:
            refuse_odd(path.stat().st_mode)  # a pipe would wait for its writer
        except ValueError as odd:
            problems.append(Problem(str(path), str(odd).partition("; ")[0], "name the right file in catalogue.files"))
            continue
        except OSError:
            pass  # said when it is read
        layer, found = read_yaml(path, begins="actions:")
        for problem in found:
            fix = problem.fix.replace("with --config", "in catalogue.files")
            problems.append(Problem(problem.path, problem.what, fix, problem.where))
        if found:
            continue
        reader = _File(layer.tree, layer.places, file.name)
        catalogue = catalogue or load_catalogue()
        for action, record in reader.records().items():
            if (meaning := reader.meaning(action, record, catalogue)) is not None:
                records.setdefault(action, meaning)
        problems += reader.problems
    return records, problems


class _File:
    """One file: its records, and what is wrong with them."""

    def __init__(self, tree: Mapping[str, Any], places: Mapping[Any, str], name: str) -> None:
        self._tree = tree
        self._places = places
        self._name = name
        self.problems: list[Problem] = []

    def records(self) -> dict[str, _Record]:
        """Return the records that have the right shape."""
        for key in self._tree.keys() - {"actions"}:
            self._complain(
                (key,),
                "unknown key",
                "did you mean actions?" if nearest(key, ["actions"]) else "records stand below `actions:`",
            )
        actions = self._tree.get("actions", {})
        if not isinstance(actions, dict):
            self._complain(("actions",), "not a map of actions", "write `action_id:` and its record below it")
            return {}
        found = {}
        for action, values in actions.items():
            if not action.strip() or set(action) & set("*?"):
                what = "not the id of an action" if action.strip() else "an empty id"
                self._complain(("actions", action), what, "write one whole id; a record is for a single action")
                continue
            try:
                found[action] = _Record.model_validate(values)
            except ValidationError as error:
                for fault in error.errors(include_input=False, include_url=False):
                    self._complain(("actions", action, *fault["loc"]), *_problem_text(fault, values))
        return found

    def meaning(self, action: str, record: _Record, catalogue: Catalogue) -> Meaning | None:
        """Return what a record says, completed; None when it cannot be so, and then the fault is noted."""
        values = record.model_dump(exclude_none=True)
        before = catalogue.meaning(action)
        act, thing = record.act or before.act, record.object or before.object
        line = None
        if (record.act or record.object) and act:
            line = catalogue.grammar.line(thing, act)
        meaning = before
        if line is not None and act:
            meaning = catalogue.grammar.meaning_of_line(line, act, thing, record.outcome or before.outcome, before)
        changed: dict[str, Any] = {"layer": "local"}
        changed |= {
            key: values[key]
            for key in ("name", "product", "act", "object", "outcome", "severity", "reason")
            if key in values
        }
        changed |= {"target": values["target"]} if "target" in values else {}
        if changed.get("outcome", "failure") != "failure":
            changed["failure"] = None
        if record.severity is not None and record.reason is None:
            changed["reason"] = f"by {self._name}"
        if record.severity is not None:
            changed["admin"] = None
        if record.category is not None:
            changed["category"] = (record.category,)
        if record.types is not None:
            changed["types"] = tuple(dict.fromkeys(record.types))
        if record.ocsf is not None:
            changed |= {"ocsf_class": record.ocsf.class_, "ocsf_activity": record.ocsf.activity}
        meaning = msgspec.structs.replace(meaning, **changed)
        sound = [
            self._is_product(action, record.product),
            self._is_word(action, "act", record.act, record, known_acts()),
            self._is_word(action, "object", record.object, record, known_objects()),
            self._is_ecs(action, meaning),
            self._is_ocsf(action, record.ocsf),
        ]
        return meaning if all(sound) else None

    def _is_product(self, action: str, word: str | None) -> bool:
        """Refuse what is nearly a known product; others may be new ones."""
        guess = nearest(word, known_products(), cutoff=0.8) if word and word not in known_products() else None
        if guess:
            self._complain(("actions", action, "product"), "no product that is known", f"did you mean {guess}?")
        return guess is None

    def _is_word(self, action: str, key: str, word: str | None, record: _Record, known: frozenset[str]) -> bool:
        """Refuse a word of which nothing follows; with a category of its own a record may say what it likes."""
        guess = nearest(word, known, cutoff=_NEARLY if record.category is not None else 0.6) if word else None
        if word is None or word in known or (record.category is not None and guess is None):
            return True
        every = f"known: {', '.join(sorted(known))}" if len(known) < _MANY else "or give it category and types"
        self._complain(
            ("actions", action, key), f"no {key} that is known", f"did you mean {guess}?" if guess else every
        )
        return False

    def _is_ecs(self, action: str, meaning: Meaning) -> bool:
        allowed = ecs_types()
        here = ("actions", action)
        if not meaning.category:
            if meaning.types:
                self._complain((*here, "types"), "types need a category", f"known: {', '.join(allowed)}")
            elif meaning.act is None:
                self._complain(here, "says neither act nor category", "give it an act and an object")
            else:
                return True
            return False
        [category] = meaning.category
        if category not in allowed:
            guess = nearest(category, allowed, cutoff=0.6)
            fix = f"{f'did you mean {guess}? ' if guess else ''}known: {', '.join(allowed)}"
            self._complain((*here, "category"), "no category of ECS", fix)
        elif not meaning.types or not set(meaning.types) <= allowed[category]:
            fix = f"types of {category}: {', '.join(sorted(allowed[category]))}"
            self._complain((*here, "types"), f"does not go with the category {category}", fix)
        else:
            return True
        return False

    def _is_ocsf(self, action: str, values: _Ocsf | None) -> bool:
        if values is None:
            return True
        found = ocsf_classes().get(values.class_)
        here = ("actions", action, "ocsf")
        if found is None:
            known = ", ".join(f"{number} {one.name}" for number, one in ocsf_classes().items() if number)
            self._complain((*here, "class"), "no class of OCSF that we write", f"known: {known}")
        elif values.activity not in found.activities:
            known = ", ".join(f"{number} {name}" for number, name in found.activities.items())
            self._complain((*here, "activity"), f"no activity of {found.name}", f"known: {known}")
        else:
            return True
        return False

    def _complain(self, path: tuple[str | int, ...], what: str, fix: str) -> None:
        """Note a fault with the line of the nearest key that stands in the file."""
        place = next(
            (self._places[path[:end]] for end in range(len(path), 0, -1) if path[:end] in self._places), self._name
        )
        self.problems.append(Problem(dotted(path), what, fix, place))


def _problem_text(fault: ErrorDetails, record: Any) -> tuple[str, str]:
    """Return what pydantic found in our words, and the fix."""
    *above, last = fault["loc"] or ("",)
    if fault["type"] == "extra_forbidden":
        known = ["class", "activity"] if above else list(_Record.model_fields)
        guess = nearest(str(last), known, cutoff=0.6)
        return "unknown key", f"did you mean {guess}?" if guess else f"known keys: {', '.join(known)}"
    if fault["type"] == "missing":
        return "missing", f"set {last}"
    if fault["type"] == "string_pattern_mismatch":
        return "not a word", "write small letters, digits, - and _, beginning with a letter"
    value = record.get(last) if isinstance(record, dict) else None
    return explained(fault["type"], fault.get("ctx", {}), fault["msg"], value)


@cache
def ecs_types() -> dict[str, frozenset[str]]:
    """Return which `event.type` goes with which `event.category`."""
    return {category: frozenset(types.split()) for category, types in read_table("ecs_types.toml").items()}
