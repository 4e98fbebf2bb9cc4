"""Every number that may be set has bounds within which it can work, and refuses what lies outside in plain words."""

import math
from collections.abc import Iterator
from typing import Annotated, Any, get_args, get_origin

import pytest
from pydantic import BaseModel, ValidationError

from forwarder.config.problems import SettingsError
from forwarder.config.settings import Settings, load
from forwarder.contracts.descriptions import descriptions
from forwarder.contracts.units import LARGEST, LONGEST, Within, parse_duration, parse_size
from forwarder.registry import OWN_DISTRIBUTION, SINKS, SOURCES

COMPONENTS = {
    "organization": ("sources", {"org_id": "7d5a6a0e-1c55-4b92-9a37-0a4ad7a3c1aa", "api_key": "x-1"}),
    "elasticsearch": ("sinks", {"url": "https://es.example.com"}),
    "file": ("sinks", {"path": "events.ndjson"}),
    "http": ("sinks", {"url": "https://siem.example.com"}),
    "splunk_hec": ("sinks", {"url": "https://hec.example.com", "token": "x-2"}),
    "syslog": ("sinks", {"address": "tls://siem.example.com:6514"}),
}
HUGE = 10**400
ZERO_MEANS = {"batch.wait", "since", "trailing", "shutdown.grace", "spool.retain", "resend", "patience"}
"""Settings whose description says what 0 does."""


def numbers(model: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, Any, tuple[Any, ...], str]]:
    for name, field in model.model_fields.items():
        yield from _numbers(
            field.annotation, tuple(field.metadata), f"{prefix}{name}", descriptions(model).get(name, "")
        )


def _numbers(kind: Any, marks: tuple[Any, ...], path: str, words: str) -> Iterator[tuple[str, Any, Any, str]]:
    if get_origin(kind) is Annotated:
        yield from _numbers(kind.__origin__, (*kind.__metadata__, *marks), path, words)
    elif isinstance(kind, type) and issubclass(kind, BaseModel):
        yield from numbers(kind, f"{path}.")
    elif kind in {int, float}:
        yield path, kind, marks, words
    elif get_origin(kind) is not dict:
        for part in get_args(kind):
            if part is not type(None):
                yield from _numbers(part, marks, path, words)


def every_number() -> list[tuple[str, str, Any, tuple[Any, ...], str]]:
    found = [("", *number) for number in numbers(Settings)]
    budget = get_args(Settings.model_fields["budgets"].annotation)[1]
    found += [("budgets", *number) for number in numbers(budget)]
    for registry in (SOURCES, SINKS):
        for kind in registry.names(distribution=OWN_DISTRIBUTION):
            found += [(kind, *number) for number in numbers(registry.load(kind).Config)]
    once = {}
    for number in found:  # what components share is looked at in the first of them
        once.setdefault((number[1], repr(number[2:])), number)
    return list(once.values())


EVERY = every_number()
IDS = [f"{kind}:{path}" for kind, path, *_ in EVERY]


def examples(kind: str) -> tuple[str, dict[str, Any]]:
    """Return the required settings of a component that has no line above, by the examples that they give themselves."""
    section, registry = ("sources", SOURCES) if kind in SOURCES.names() else ("sinks", SINKS)
    fields = registry.load(kind).Config.model_fields
    return section, {
        name: field.examples[0] for name, field in fields.items() if field.is_required() and field.examples
    }


def configuration(kind: str, path: str, value: Any) -> dict[str, Any]:
    tree: dict[str, Any] = {
        "sources": {"acme": {"type": "organization", **COMPONENTS["organization"][1]}},
        "sinks": {"out": {"type": "file", "path": "events.ndjson"}},
    }
    node = tree
    if kind == "budgets":
        node = tree.setdefault("budgets", {}).setdefault("one", {})
    elif kind:
        section, settings = COMPONENTS.get(kind) or examples(kind)
        node = tree[section] = {"it": {"type": kind, **settings}}
        node = node["it"]
    *above, last = path.split(".")
    for key in above:
        node = node.setdefault(key, {})
    node[last] = [value] if last == "reject_on" else value
    return tree


def refusal(kind: str, path: str, value: Any) -> str:
    try:
        Settings(**configuration(kind, path, value))
    except (ValidationError, SettingsError) as error:
        return str(error)
    return ""


@pytest.mark.parametrize("number", EVERY, ids=IDS)
def test_every_number_has_bounds(number):
    kind, path, _, marks, words = number
    marks = [inner for mark in marks for inner in getattr(mark, "metadata", [mark])]
    within = [mark for mark in marks if isinstance(mark, Within)]
    low = any(getattr(mark, "ge", None) is not None for mark in marks)
    high = any(getattr(mark, "le", None) is not None for mark in marks)
    assert within or (low and high)
    zero = not refusal(kind, path, 0)
    if zero and path != "facility":
        assert "0 " in words or path in ZERO_MEANS, "0 works, so the description must say what it means"
        assert path in ZERO_MEANS
    for value in (
        -1,
        math.inf,
        -math.inf,
        math.nan,
        True,
        HUGE,
        -HUGE,
        1e300,
        "1e400",
        "inf",
        "9" * 400,
        "9" * 400 + "d",
    ):
        assert refusal(kind, path, value), value


@pytest.mark.parametrize("number", EVERY, ids=IDS)
def test_what_is_refused_is_said_in_words_of_ours(number, tmp_path):
    kind, path, *_ = number
    for value in ("-5", ".inf", "-.inf", ".nan", "true", "9" * 400, "99999999d", "1.0e+400", "a lot", "[]", "''"):
        problems = problems_of(tmp_path, configuration(kind, path, Yaml(value)))
        [problem] = [problem for problem in problems if path.rpartition(".")[2] in problem.path]
        text = str(problem)  # what else the component needs is said beside
        assert problem.what, text
        assert problem.fix, text
        for foreign in ("should", "Input", "valid", "string", "validation", "parse", "Error", "finite", "float", value):
            assert foreign not in text.replace(problem.path, "") or foreign == "''", text


class Yaml(str):
    """Text that is written as it is."""

    __slots__ = ()


def written(tree: Any) -> str:
    if isinstance(tree, dict):
        return "{" + ", ".join(f"{key}: {written(value)}" for key, value in tree.items()) + "}"
    if isinstance(tree, list):
        return f"[{', '.join(map(written, tree))}]"
    return str(tree) if isinstance(tree, Yaml) else f'"{tree}"'


def problems_of(tmp_path, tree):
    path = tmp_path / "config.yaml"
    path.write_text(written(tree))
    with pytest.raises(SettingsError) as caught:
        load(path, {})
    return caught.value.problems


@pytest.mark.parametrize("parse", [parse_size, parse_duration])
@pytest.mark.parametrize(
    "value",
    ["9" * 10_000, "1" * 400 + "GiB", "1" * 400 + "d", HUGE, -HUGE, "1e5", "0x10", "\uff11x", "\u00b2", [], {}, b"1"],
)
def test_no_number_is_too_odd_to_be_refused(parse, value):
    with pytest.raises(ValueError, match=r"."):
        parse(value)


def test_what_people_write_is_read():
    assert parse_size("2GiB") == 2 * 2**30
    assert parse_size(" 1.5 kib ") == 1536
    assert parse_size(LARGEST) == LARGEST
    assert parse_duration("1h 30m") == 5400
    assert parse_duration("3650d") == LONGEST
    assert parse_duration(0.25) == 0.25


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        ("sources.acme.every", "0", "too short; write 10ms to 1d"),
        ("sources.acme.since", "181d", "too long; write 1s to 180d, or 0"),
        ("sources.acme.http.max_response", "0", "too small; write 1KB to 1GiB"),
        ("spool.retain", ".inf", "longer than 3650d"),
        ("sinks.out.window", "65", "more than 64"),
        ("sinks.out.window", "0", "less than 1"),
        ("sinks.out.window", "true", "a switch, not a number"),
        ("sinks.out.batch.events", "1.5", "not a whole number"),
        ("sinks.out.retry.base", "2m", "longer than max"),
    ],
)
def test_the_words(tmp_path, path, value, words):
    tree = configuration("", "log.level", "info")
    node: Any = tree
    *above, last = path.split(".")
    for key in above:
        node = node.setdefault(key, {})
    node[last] = Yaml(value)
    assert words in "\n".join(map(str, problems_of(tmp_path, tree)))
