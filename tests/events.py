"""Records and events for tests of meaning and formats, and a reader that is not ours."""

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from forwarder.contracts import AuditEvent, Origin, Record, UnexpectedPayload
from forwarder.formats.ecs.format import EcsFormat
from forwarder.sources.organization.normalizer import OrganizationNormalizer

GOLDEN = Path(__file__).parent / "golden" / "organization"
ORIGIN = Origin("acme", "organization", "a1b2c3d4-0000-1111-2222-333344445555")
READ_MS = 1_727_952_300_000


@cache
def golden_bodies() -> Mapping[str, bytes]:
    return {path.parent.name: path.read_bytes().rstrip(b"\n") for path in sorted(GOLDEN.glob("*/in.json"))}


def record_of(body: bytes, ident: str = "0" * 32, marks: tuple[str, ...] = (), read_ms: int = READ_MS) -> Record:
    return Record(1, ORIGIN, ident, body, read_ms=read_ms, marks=marks)


def meaning_of(body: bytes, **more) -> AuditEvent | UnexpectedPayload:
    [event] = OrganizationNormalizer().normalize([record_of(body, **more)])
    return event


def ecs_of(event: AuditEvent) -> bytes:
    record = record_of(b"{}")
    record.event = event
    [line] = EcsFormat().render([record])
    assert isinstance(line, bytes), line
    return line


def strictly(line: bytes):
    """Read one line of NDJSON as a strict reader would."""

    def refuse(name):
        raise AssertionError(f"{name} in the output")

    def number(text):
        value = float(text)
        assert value not in {float("inf"), float("-inf")}, text
        return value

    assert b"\n" not in line
    assert b"\r" not in line
    return json.loads(line.decode("utf-8"), parse_constant=refuse, parse_float=number)
