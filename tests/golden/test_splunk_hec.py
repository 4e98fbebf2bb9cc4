"""The envelopes that Splunk gets, to the byte: of the golden events, and of what has no meaning."""

import difflib
from pathlib import Path

import pytest

from forwarder.contracts import FormatTraits, Late, Record
from forwarder.formats.raw import RawFormat
from forwarder.registry import FORMATS
from forwarder.sources.organization.normalizer import OrganizationNormalizer
from sinks.splunk_hec.envelope import Wrapper
from sinks.splunk_hec.settings import SplunkHecConfig
from tests.events import golden_bodies, record_of, strictly

FOLDER = Path(__file__).parent / "splunk_hec"
BODIES = {"ecs": b'{"@timestamp":"2026-01-31T10:00:00Z"}', "cef": b'CEF:0|a|b|1|c|n|9|msg=a "quoted" \\\\ text'}
"""What other formats might write: what they really do has golden cases of its own."""

CASES = {
    "page_viewed": ("page_viewed", "raw", {}),
    "page_viewed_ecs": ("page_viewed", "ecs", {"index": "atlassian"}),
    "page_viewed_cef": ("page_viewed", "cef", {"indexed_fields": ["event_id"]}),
    "by_product": (
        "issue_viewed",
        "raw",
        {
            "index": {"jira": "atlassian_jira", "*": "atlassian"},
            "source": "{feed}/{product}",
            "labels": {"env": "prod"},
        },
    ),
    "no_site": ("org_admin_added", "raw", {"index": "a_{product}"}),
    "hostile_text": ("hostile_text", "raw", {"host": "{site}"}),
    "without_meaning": ("not_an_object", "raw", {}),
    "late": ("page_viewed", "raw", {}),
    "late_elsewhere": (
        "page_viewed",
        "raw",
        {"index": "atlassian", "late": {"events": "elsewhere", "index": "old_{product}"}, "labels": {"late": "mine"}},
    ),
    "late_without_meaning": ("not_an_object", "raw", {"late": {"events": "elsewhere", "sourcetype": "atlassian:old"}}),
}
LATE = {
    "late": Late("late", 7200, "reread"),
    "late_elsewhere": Late("recovered", 86_400, "reconcile"),
    "late_without_meaning": Late("backfill", None, "import"),
}
"""What is known of the record of such a case; all of them are for the other place, if there is one."""


def envelope(name: str, format_name: str, settings: dict, late: Late | None = None) -> bytes:
    record: Record = record_of(golden_bodies()[name], "0123456789abcdef" * 2)
    [event] = OrganizationNormalizer().normalize([record])
    record.event = None if isinstance(event, Exception) else event
    [body] = RawFormat().render([record])
    record.late, record.elsewhere = late, "late" in settings
    record.body = BODIES.get(format_name) or (body if isinstance(body, bytes) else b'{"only":"bytes"}')
    return Wrapper(
        SplunkHecConfig(url="https://127.0.0.1:1", token="t", **settings),
        format_name,
        is_json=FormatTraits.of(FORMATS.load(format_name)).writes == "json",
    ).wrap(record)


@pytest.mark.parametrize("case", CASES)
def test_envelope(case, request, capsys):
    now = envelope(*CASES[case], LATE.get(case))
    strictly(now)
    path = FOLDER / f"{case}.json"
    before = path.read_bytes() if path.exists() else b""
    if now + b"\n" == before:
        return
    diff = "\n".join(difflib.unified_diff([before.decode().rstrip()], [now.decode()], case, f"{case} (now)"))
    if not request.config.getoption("--update-golden"):
        pytest.fail(f"the envelope of {case} changed:\n{diff}", pytrace=False)
    with capsys.disabled():
        print(f"\n{diff}")
    path.write_bytes(now + b"\n")
