"""No two settings may name one file when one of them writes there, however the file is spelt."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import yaml

from forwarder.config.settings import load
from forwarder.preflight.one_file import odd_files, one_file_twice


def problems(folder: Path, sinks: dict[str, Any], **more: Any) -> list[str]:
    """Return the problems of a configuration whose spool is state/spool.db; the order of calls does not matter."""
    (folder / "state").mkdir(exist_ok=True)
    secret = folder / "key"
    secret.write_text("an-api-key-of-a-test\n")
    tree = {
        "spool": {"path": str(folder / "state" / "spool.db")},
        "sources": {
            "acme": {
                "type": "organization",
                "org_id": "11111111-2222-4333-8444-555555555555",
                "api_key_file": str(secret),
            }
        },
        "sinks": {
            name: sink if isinstance(sink, dict) else {"type": "file", "path": str(sink)}
            for name, sink in sinks.items()
        },
        **more,
    }
    path = folder / "config.yaml"
    path.write_text(yaml.safe_dump(tree))
    return [str(problem) for problem in one_file_twice(load(path))]


@pytest.mark.parametrize(
    "name",
    [
        "state/spool.db",
        "state/spool.db-wal",
        "state/spool.db-shm",
        "state/spool.db-journal",
        "state/spool.db.lock",
        "state/spool.db.reserve",
        "state/spool.db.sock",
        "state/spool.db.new",
        "state/spool.db.missing",
        "state/unknown-actions.json",
        "state/event-actions-organization_x.json",
        "state/../state/./spool.db",
        "other/../state/spool.db",
        "config.yaml",
        "key",
        "state",
        "state/spool.db/below",
    ],
)
def test_a_sink_that_writes_into_a_file_of_ours_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "other").mkdir()
    (found,) = problems(tmp_path, {"out": tmp_path / name})
    assert found.startswith("sinks.out.path")


@pytest.mark.parametrize("target", ["state/spool.db", "state/spool.db.lock", "config.yaml", "key"])
@pytest.mark.parametrize("how", ["symlink", "hard link", "linked folder"])
def test_links_do_not_hide_it(tmp_path: Path, target: str, how: str) -> None:
    (tmp_path / "state").mkdir()
    (tmp_path / target).write_text("x")
    link = tmp_path / "link"
    problems(tmp_path, {"out": tmp_path / "out"})  # writes the configuration and the key
    if how == "symlink":
        link.symlink_to(tmp_path / target)
    elif how == "hard link":
        link.hardlink_to(tmp_path / target)
    else:
        link.symlink_to((tmp_path / target).parent)
        link /= (tmp_path / target).name
    (found,) = problems(tmp_path, {"out": link})
    assert found.startswith("sinks.out.path")


def test_two_sinks_on_one_file_by_a_second_link_or_by_rotation(tmp_path: Path) -> None:
    (tmp_path / "a.ndjson").write_text("")
    (tmp_path / "b.ndjson").hardlink_to(tmp_path / "a.ndjson")
    (found,) = problems(tmp_path, {"a": tmp_path / "a.ndjson", "b": tmp_path / "b.ndjson"})
    assert found.startswith("sinks.b.path")
    (found,) = problems(tmp_path, {"a": tmp_path / "x.ndjson", "b": tmp_path / "x-20260131T120000-1.ndjson"})
    assert found.startswith("sinks.b.path")
    (found,) = problems(tmp_path, {"a": tmp_path / "x", "b": tmp_path / "x" / "y"})
    assert "folder" in found or "below" in found


def test_a_file_that_is_read_must_not_be_the_spool(tmp_path: Path) -> None:
    state = tmp_path / "state"
    state.mkdir()
    (tmp_path / "ca.pem").write_text("x")
    (state / "spool.db").hardlink_to(tmp_path / "ca.pem")
    sink = {"type": "http", "url": "https://logs.example.com/in", "tls": {"ca_file": str(tmp_path / "ca.pem")}}
    assert any(line.startswith("sinks.far.tls.ca_file") for line in problems(tmp_path, {"far": sink}))


@pytest.mark.parametrize(
    ("kind", "words"), [("link", "file that it points to, "), ("folder", "a folder"), ("pipe", "a pipe"), ("file", "")]
)
def test_a_sink_on_what_is_no_file_is_said(tmp_path: Path, kind: str, words: str) -> None:
    path = tmp_path / "out"
    if kind == "link":
        path.symlink_to(tmp_path / "theirs")
    elif kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    else:
        path.write_text("theirs")
    problems(tmp_path, {"out": path})
    found = [str(problem) for problem in odd_files(load(tmp_path / "config.yaml"))]
    assert [each.startswith("sinks.out.path: ") and words in each for each in found] == ([True] if words else [])


def test_what_is_apart_is_fine(tmp_path: Path) -> None:
    sinks = {
        "a": tmp_path / "a.ndjson",
        "b": tmp_path / "state" / "b.ndjson",
        "c": "-",
        "d": tmp_path / "a-2026.ndjson",
    }
    assert problems(tmp_path, sinks) == []
    ca = tmp_path / "ca.pem"
    ca.write_text("x")
    two = {"type": "http", "url": "https://logs.example.com/in", "tls": {"ca_file": str(ca)}}
    assert problems(tmp_path, {"one": two, "other": {**two, "url": "https://logs.example.org/in"}}) == []
