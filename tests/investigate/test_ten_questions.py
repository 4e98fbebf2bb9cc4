"""The ten questions of docs/analyst-questions.md: `investigate` and `hunt` give the answers that its queries give.

The queries run over the documents that a sink would send, by the few clauses of Elasticsearch that the page uses.
`tests/real_servers/test_ten_answers.py` lets a server run them.
"""

from __future__ import annotations

import fnmatch
import json

import pytest

from forwarder.formats.ecs.format import EcsFormat
from forwarder.sources.organization.normalizer import OrganizationNormalizer
from tests.events import record_of
from tests.investigate.ten_questions import ANSWERS, Compared, moment, values_of


@pytest.fixture(scope="module")
def compared(acme, tables):
    bodies = [entry.body for entries in acme.feed.versions().values() for entry in entries]
    records = [record_of(body) for body in bodies]
    for record, event in zip(records, OrganizationNormalizer().normalize(records), strict=True):
        record.event = event
    documents = [json.loads(line) for line in EcsFormat().render(records)]
    return Compared(acme, tables, lambda query: [one for one in documents if matches(query, one)])


def matches(query, document):
    """Tell whether a document fits a query."""
    [(clause, body)] = query.items()
    if clause == "bool":
        sides = {name: value if isinstance(value, list) else [value] for name, value in body.items()}
        return (
            all(matches(one, document) for one in sides.get("filter", ()))
            and ("should" not in sides or any(matches(one, document) for one in sides["should"]))
            and not any(matches(one, document) for one in sides.get("must_not", ()))
        )
    if clause == "exists":
        return bool(values_of(document, body["field"]))
    [(field, value)] = body.items()
    have = values_of(document, field)
    if clause == "range":
        return any(moment(value["gte"]) <= moment(one) < moment(value["lt"]) for one in have)
    if clause == "wildcard":
        pattern = value["value"] if isinstance(value, dict) else value
        return any(fnmatch.fnmatchcase(one, pattern) for one in have)
    if clause == "prefix":
        return any(one.startswith(value) for one in have)
    return any(one in (value if clause == "terms" else [value]) for one in have)


@pytest.mark.parametrize("number", ANSWERS, ids=lambda number: f"question_{number}")
def test_it_answers_as_the_query_of_the_page_does(compared, number):
    ANSWERS[number](compared)
