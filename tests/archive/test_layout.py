from __future__ import annotations

from datetime import UTC, date, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forwarder.archive import layout
from forwarder.archive.layout import EvidenceName, parse_evidence

HOUR = datetime(2026, 11, 29, 13, tzinfo=UTC)


def test_a_name_says_source_hour_and_numbers() -> None:
    name = EvidenceName("acme", HOUR, 1, 1141)
    assert str(name) == ("evidence/v1/source=acme/day=2026-11-29/hour=13/0000000000000001-0000000000001141.ndjson.zst")
    assert parse_evidence(str(name)) == name


@given(st.text(min_size=1), st.datetimes(timezones=st.just(UTC)), st.integers(1, 10**16 - 1), st.integers(0, 10**6))
def test_parsing_is_the_inverse_and_a_source_is_one_part_of_a_path(
    source: str, at: datetime, first: int, more: int
) -> None:
    try:
        source.encode()
    except UnicodeEncodeError:
        return
    name = EvidenceName(source, at.replace(minute=0, second=0, microsecond=0), first, min(first + more, 10**16 - 1))
    if at.year < 1000:
        return
    assert parse_evidence(str(name)) == name
    assert str(name).count("/") == 5
    assert not {"", ".", ".."} & set(str(name).split("/"))
    assert layout.source_of(layout.source_folder(source)) == source


@pytest.mark.parametrize(
    "name",
    [
        "",
        "evidence/v1/source=acme/day=2026-11-29/hour=13/1-2.ndjson.zst",
        "evidence/v1/source=acme/day=2026-11-29/hour=24/0000000000000001-0000000000000002.ndjson.zst",
        "evidence/v1/source=acme/day=2026-02-30/hour=13/0000000000000001-0000000000000002.ndjson.zst",
        "evidence/v1/source=acme/day=2026-11-29/hour=13/0000000000000003-0000000000000002.ndjson.zst",
        "evidence/v1/source=a%63me/day=2026-11-29/hour=13/0000000000000001-0000000000000002.ndjson.zst",
        "evidence/v1/source=%ff/day=2026-11-29/hour=13/0000000000000001-0000000000000002.ndjson.zst",
        "evidence/v1/source=../day=2026-11-29/hour=13/0000000000000001-0000000000000002.ndjson.zst",
        "evidence/v1/source=acme/day=2026-11-29/hour=13/0000000000000001-0000000000000002.ndjson.zst\n",
        "evidence/v1/source=acme/day=2026-11-29/hour=13/\u0660000000000000001-0000000000000002.ndjson.zst",
    ],
)
def test_another_name_is_not_taken_for_evidence(name: str) -> None:
    assert parse_evidence(name) is None


def test_digests_keys_and_deletions() -> None:
    name = layout.digest_name(HOUR)
    assert name == "digests/v1/2026/11/29/13.json"
    assert layout.parse_digest(name) == HOUR
    assert layout.signature_name(name) == f"{name}.sig"
    assert layout.parse_digest(f"{name}.sig") is None
    assert layout.parse_digest("digests/v1/2026/13/29/13.json") is None
    assert layout.key_name("0123456789abcdef") == "keys/v1/0123456789abcdef.pem"
    assert layout.deletion_name(date(2026, 11, 29)) == "deletions/v1/2026-11.json"
    assert layout.parse_deletion("deletions/v1/2026-11.json") == date(2026, 11, 1)
    assert layout.parse_deletion("deletions/v1/2026-13.json") is None
    assert layout.day_of(layout.day_folder("acme", HOUR.date())) == HOUR.date()
    assert layout.day_of("evidence/v1/source=acme/") is None
    assert layout.hour_of(HOUR.timestamp() + 3599.9) == HOUR
