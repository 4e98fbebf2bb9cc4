"""Completion offers ids and addresses of the index, and nothing that a shell would run."""

from __future__ import annotations

from datetime import UTC, datetime

from forwarder.investigate.building import Builder
from forwarder.investigate.completing import beginnings
from tests.investigate.evidence import Archive
from tests.investigate.lines import event


def test_ids_and_addresses_that_begin_so_are_offered_and_no_name(tmp_path):
    made = Archive(tmp_path / "archive")
    lines = [
        event(ident="1", user="a1", name="ada $(touch /x)", email="ada@example.com"),
        event(ident="2", user="ada;reboot", name="Ada", email="ada2@example.com"),
        event(ident="3", user="-ada", name="Ada", email="bob@example.com"),
        event(ident="4", user="`ada`", name="Ada", email=None),
    ]
    made.put("2026-03-01T10", lines)
    assert beginnings(made.index.folder, ("person",), "ad") == []
    with made.reader() as reader:
        Builder(reader, made.index).update(datetime(2026, 3, 5, tzinfo=UTC))
    assert beginnings(made.index.folder, ("person",), "ad") == ["ada2@example.com", "ada@example.com"] or beginnings(
        made.index.folder, ("person",), "ad"
    ) == ["ada@example.com", "ada2@example.com"]
    assert beginnings(made.index.folder, ("person",), "A1") == ["a1"]
    assert beginnings(made.index.folder, ("person",), "%") == []
    assert beginnings(made.index.folder, ("group",), "") == []
    offered = beginnings(made.index.folder, ("person",), "")
    assert not [value for value in offered if set(value) & set(" $`;'\"\\|&<>()")]
    assert not [value for value in offered if value.startswith("-")]
