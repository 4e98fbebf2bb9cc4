"""What stores refuse in JSON of any shape is changed as little as they need, and marked."""

import json

import msgspec
import pytest

from forwarder.formats.kit.web import coordinates
from forwarder.normalize.fitting import DEEPEST, LONGEST_PATH, fit
from tests.events import ecs_of, meaning_of, strictly

MOST_OF_A_TERM = 32_766  # bytes of a name, a NUL and a value of at most 1024 characters


def event(entry):
    return meaning_of(
        json.dumps(
            {"id": "e", "attributes": {"time": "2026-01-31T10:00:00Z", "action": "x", "context": [entry]}}
        ).encode()
    )


def paths(tree, path=(), depth=0):
    """Give every path to a value with its depth, as an index of whole objects sees it."""
    if isinstance(tree, dict):
        for name, inner in tree.items():
            yield from paths(inner, (*path, name), depth + 1)
    elif isinstance(tree, list):
        for inner in tree:
            yield from paths(inner, path, depth + 1)
    else:
        yield path, depth, tree


def deep(levels, inner=1, name="a"):
    for _ in range(levels):
        inner = {name: inner}
    return inner


@pytest.mark.parametrize(
    "attributes",
    [
        {"": 1}, {" ": 1, "\t": 2, "": 3}, {".": 1}, {"..a": 1}, {"a.": {".b": 1}}, {" .a": 1}, {"a.\u3000.b": 1}, {"a. ": 1}, {"a\0b": 1}, {"n" * 40_000: "v" * 5000},
        {"\u4e2d" * 12_000: "\u4e2d" * 2000}, deep(300), deep(900), {"a": [[[deep(70)]]]}, {"n": 10**400}, {"n": 10**3000},
        deep(47, {"n" * 2000: 1}), {"x" * 1024 + str(n): n for n in range(50)},
        deep(10, "v", "\U0001f600" * 1024),
    ],
)  # fmt: skip
def test_every_shape_is_within_the_limits_of_a_store(attributes):
    found = event({"type": "things", "id": "1", "attributes": attributes})
    context = strictly(ecs_of(found))["atlassian"]["audit"]["context"]
    assert "refitted" in found.marks
    values = 0
    for path, depth, value in paths(context):
        assert depth <= 64
        assert len(".".join(path).encode()) + 1 + 3 * 1024 < MOST_OF_A_TERM
        assert all(part.strip() for name in path for part in name.split("."))
        assert not any("\0" in name for name in path)
        assert type(value) is not int or len(str(value)) < 1000
        values += 1
    assert values >= 2 + (max(1, len(attributes)))


def test_digits_of_a_fraction_are_no_longer_than_a_reader_takes():
    body = (
        b'{"id":"e","attributes":{"time":"2026-01-31T10:00:00Z","action":"x","context":[{"n":1.' + b"0" * 3000 + b"}]}}"
    )
    assert b"0" * 300 not in ecs_of(meaning_of(body))


@pytest.mark.parametrize(
    "attributes", [{"a": {"b": [1, 1.5, "x", None, True]}}, {"a.b": 1, "a": {"b": 2}}, {"grün 1": "x"}, deep(40)]
)
def test_what_fits_stays_byte_for_byte(attributes):
    raw = json.dumps(attributes).encode()
    assert fit(msgspec.json.decode(raw), raw) is None


def test_many_names_that_become_one_stay_apart_in_linear_time():
    attributes = {" " * n: n for n in range(1, 3000)} | {f"__{n}": -n for n in range(3000)}
    raw = json.dumps(attributes).encode()
    fitted = fit(attributes, raw)
    assert fitted is not None
    assert sorted(msgspec.json.decode(fitted).values()) == sorted(attributes.values())


def test_the_limits_leave_room_for_what_stands_around_a_part():
    assert DEEPEST + 8 <= 64
    assert LONGEST_PATH * 4 + DEEPEST + 3 * 1024 < MOST_OF_A_TERM


@pytest.mark.parametrize(
    ("geo", "known"),
    [
        ("90,180", True), ("-90,-180", True), ("90.0,180.0", True), ("90.0001,0", False), ("-90.0001,0", False), ("0,180.0001", False),
        ("0,-180.0001", False), ("0, 0", True), ("0,0,0", False), ("1e1,0", False), ("", False), ("nan,0", False), ("91,0", False),
    ],
)  # fmt: skip
def test_a_point_lies_on_the_earth(geo, known):
    assert (coordinates(geo) is not None) is known
