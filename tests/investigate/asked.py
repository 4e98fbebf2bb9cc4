"""A simulated organization's log as one file of events, and questions asked of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from forwarder.investigate.identity import Directory
from forwarder.investigate.questions.answer import Archive, answer
from forwarder.investigate.questions.shapes import SHAPES
from forwarder.investigate.result import Evidence, Question, Result, Run
from simulator.config import SimulatorConfig
from simulator.organization import Organization

NOW = 1_772_452_800.0
"""2 March 2026, 12:00 UTC: when the simulated history ends."""

RUN = Run(1_772_452_800_000, "tester", "host", "1.2.3")


def simulated(events: int = 12_000, history: str = "21d", seed: int = 7) -> Organization:
    """Return an organization with the six stories; the same one each time."""
    return Organization(SimulatorConfig(seed=seed, events=events, history=history), 0, NOW)


def write(organization: Organization, file: Path) -> Path:
    """Write its events as the API sent them, a line each."""
    versions = organization.feed.versions().values()
    file.write_bytes(b"".join(entry.body + b"\n" for entries in versions for entry in entries))
    return file


def ask(
    tables: Any, kind: str, who: str, *, zone: str = "UTC", directory: Directory | None = None, **more: Any
) -> Result:
    """Return the answer to a question."""
    question = Question(kind, who, zone, **more)
    return answer(Archive(tables, Evidence("test"), directory=directory), SHAPES[kind], question, RUN, lambda _: None)


def dicts(result: Result, part: str) -> list[dict[str, Any]]:
    """Return the rows of a part by name of the column."""
    found = result.part(part)
    return [dict(zip([column.name for column in found.columns], row, strict=True)) for row in found.rows]
