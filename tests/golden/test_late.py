"""What each format says of an event that did not come as it happened, by who brought it."""

from collections import Counter
from pathlib import Path

import pytest

from forwarder.contracts import AuditEvent, LateConfig
from forwarder.records.lateness import Lateness, tell
from forwarder.sources.organization.normalizer import OrganizationNormalizer
from tests.events import READ_MS, golden_bodies, record_of
from tests.golden.cases import hold, written

FOLDER = Path(__file__).parent / "late"
HOUR_MS = 3_600_000
READERS = {"late": ("reread", 3), "recovered": ("reconcile", 30), "backfill": ("backfill", 300)}
"""By case: who read it, and how many hours after the others."""


@pytest.mark.parametrize("case", READERS)
def test_case(case, request, capsys):
    reader, hours = READERS[case]
    record = record_of(golden_bodies()["page_viewed"], "0123456789abcdef" * 2, read_ms=READ_MS + hours * HOUR_MS)
    record.reader = reader
    [event] = OrganizationNormalizer().normalize([record])
    assert isinstance(event, AuditEvent)
    record.event = event
    lateness = Lateness(LateConfig(), Counter())
    lateness.mark([record], lateness.find([record]))
    tell([record])
    (FOLDER / case).mkdir(parents=True, exist_ok=True)
    hold(FOLDER / case, written(record), request, capsys)
