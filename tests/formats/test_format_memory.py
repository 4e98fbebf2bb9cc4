"""What formats remember: by everything it is made of, and bounded."""

import sys

import msgspec
import pytest

from forwarder.formats.kit.json_lines import JsonLines
from forwarder.formats.kit.memory import LONGEST_REMEMBERED, ActionFields, Actions, Memory
from forwarder.testing.events import record_of
from tests.hostile import ordinary_event


def test_an_action_is_written_from_the_fields_of_the_event_and_once():
    written = []
    actions = Actions(lambda fields: written.append(fields) or fields)
    event = ordinary_event(types=("access",), category=("web",))
    for _ in range(2):
        assert actions.of(event)._asdict() == {name: getattr(event, name) for name in ActionFields._fields}
    assert len(written) == 1


@pytest.mark.parametrize("name", ActionFields._fields)
def test_a_change_of_any_field_is_written_anew(name):
    actions = Actions(lambda fields: fields)
    event = ordinary_event()
    actions.of(event)
    other = {int: 9, tuple: ("other",)}.get(type(getattr(event, name)), "other")
    changed = msgspec.structs.replace(event, **{name: other})
    assert getattr(actions.of(changed), name) == other
    assert getattr(actions.of(event), name) == getattr(event, name)


@pytest.mark.parametrize("key", ["x" * (LONGEST_REMEMBERED + 1), ("x" * LONGEST_REMEMBERED, None, "y")])
def test_what_is_long_is_written_each_time(key):
    memory = Memory(lambda key: [key])
    assert memory[key] == [key]
    assert memory[key] is not memory[key]
    assert not memory


def test_a_full_memory_begins_again():
    memory = Memory(str, most=3)
    for number in range(10):
        assert memory[number] == str(number)
        assert len(memory) <= 3
    assert memory == {9: "9"}


def test_the_buffer_of_a_large_event_is_let_go():
    lines = JsonLines("test", lambda _, event: event)
    small, large = (record_of(ordinary_event(message="x" * size)) for size in (10, 3 * 2**20))
    bodies = lines.render([small, large, small])
    assert bodies[0] == bodies[2] == lines.render([small])[0]
    assert len(bodies[1]) > 3 * 2**20
    assert sys.getsizeof(lines._buffer) < 2**20
