"""Every record that products are publicly known to write has a meaning, and the same in every language.

The rows are a copy of what documentation and public code name; a row without a summary is a category of which no more is
known.
"""

from __future__ import annotations

import csv
from pathlib import Path
from typing import NamedTuple

import msgspec
import pytest

from forwarder.contracts import AuditEvent, Origin, Record
from forwarder.sources.confluence.normalizer import ConfluenceNormalizer
from forwarder.sources.datacenter.normalizer import DataCenterNormalizer
from forwarder.sources.jira.normalizer import JiraNormalizer

ALLOWED = {
    row[0]: set(row[1].split())
    for row in csv.reader(
        (Path(__file__).parent.parent / "formats" / "ecs" / "category_types.tsv").read_text().splitlines(),
        delimiter="\t",
    )
}


class Row(NamedTuple):
    feed: str
    product: str
    category: str
    summary: str
    category_key: str
    key: str


ROWS = [
    Row(*line.split("\t"))
    for line in (Path(__file__).parent / "product_rows.tsv").read_text(encoding="utf-8").splitlines()
    if not line.startswith("#")
]
NORMALIZERS = {"jira": JiraNormalizer, "confluence": ConfluenceNormalizer, "datacenter": DataCenterNormalizer}


def event_of(row: Row) -> AuditEvent:
    feed = row.feed if row.feed != "datacenter" else f"{row.product}_datacenter"
    document: dict[str, object] = {"summary": row.summary, "category": row.category, "id": 1, "creationDate": 1}
    if row.feed == "datacenter":
        document = {"type": {
            "category": row.category, "action": row.summary, "categoryI18nKey": row.category_key, "actionI18nKey": row.key,
        }}  # fmt: skip
    elif row.feed == "confluence":
        del document["id"]
    record = Record(1, Origin("acme", feed, "", "example.net"), "0" * 32, msgspec.json.encode(document), read_ms=1)
    [event] = NORMALIZERS[row.feed]().normalize([record])
    assert isinstance(event, AuditEvent), event
    return event


def test_every_record_that_is_known_has_a_meaning(capsys):
    attested = 0
    for row in ROWS:
        event = event_of(row)
        assert event.category, row
        assert set(event.types) <= ALLOWED[event.category[0]], row
        assert event.severity, row
        assert event.product == row.product, row
        named = bool(row.summary or row.key)
        assert (event.layer == "attested") == named, row
        assert (event.act is not None) == named, row
        attested += named
    with capsys.disabled():
        print(f"\n{len(ROWS)} rows of products: {attested} attested, {len(ROWS) - attested} by their category alone")
    assert len(ROWS) == 278


@pytest.mark.parametrize("row", [row for row in ROWS if row.key and row.summary])
def test_a_key_means_the_same_in_every_language(row):
    here, there = event_of(row), event_of(row._replace(summary="\u64cd\u4f5c", category="\u7c7b\u522b"))
    assert (here.act, here.object, here.category, here.types, here.outcome) == (
        there.act, there.object, there.category, there.types, there.outcome,
    )  # fmt: skip


@pytest.mark.parametrize("row", [row for row in ROWS if row.feed != "datacenter"])
def test_case_and_blanks_do_not_matter(row):
    shouted = event_of(row._replace(summary=row.summary.upper(), category=row.category.upper()))
    assert (shouted.act, shouted.object) == (event_of(row).act, event_of(row).object)
