"""What `check` says of receivers that do not take every time, and of what a sink does with late events."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from forwarder.assembly import build_sink, close_all
from forwarder.preflight.old_times import late_in_words, limits_in_words, refused_times
from forwarder.registry import SINKS

SENTINEL = "https://x-1.westeurope-1.ingest.monitor.azure.com/dataCollectionRules/dcr-1/streams/Custom-A"


def found(kind: str, **more: Any) -> tuple[list[str], str, str]:
    config = SINKS.load(kind).Config.model_validate({"type": kind, **more})
    sink = build_sink("one", config)
    try:
        looks = [str(problem) for problem in refused_times({"one": sink}, {"one": config})]
        return looks, limits_in_words(sink), late_in_words(config.late)
    finally:
        asyncio.run(close_all([sink]))


@pytest.mark.parametrize(
    ("url", "name", "age"),
    [
        (SENTINEL, "Sentinel", "2d"),
        ("https://0000.ODS.opinsights.azure.com./api/logs", "Sentinel", "2d"),
        ("https://http-intake.logs.datadoghq.eu/api/v2/logs", "Datadog", "18h"),
        ("https://log-api.newrelic.com/log/v1", "New Relic", "2d"),
    ],
)
def test_a_receiver_that_takes_no_old_times_is_named_with_the_limit(url: str, name: str, age: str) -> None:
    [look], limit, _ = found("http", url=url)
    assert "sinks.one.late" in look
    assert name in look
    assert age in look
    assert name in limit
    assert found("http", url=url, late={"events": "hold_back", "after": "18h"})[0] == []
    assert len(found("http", url=url, late={"events": "hold_back", "after": "3d"})[0]) == 1


def test_others_are_not_warned_of() -> None:
    for url in ("https://example.com/in", "https://datadoghq.com.example.net/in", "https://notdatadoghq.com/in"):
        assert found("http", url=url)[:2] == ([], "")
    assert found("elasticsearch", url="https://es.example")[:2] == ([], "")
    assert found("syslog", address="tcp://127.0.0.1:514")[:2] == ([], "")


def test_splunk_and_time_series_have_their_limits_named() -> None:
    looks, limit, _ = found("splunk_hec", url="https://splunk.example:8088", token="t")
    assert looks == []
    assert "quarantinePastSecs" in limit
    assert "900 days" in limit
    [look], limit, _ = found("splunk_hec", url="https://splunk.example:8088", token="t", endpoint="raw")
    assert "MAX_DAYS_AGO" in look
    assert "MAX_DAYS_AGO" in limit
    looks, limit, _ = found("elasticsearch", url="https://es.example", unmanaged=True)
    assert looks == []
    assert "time_series" in limit


def test_what_a_sink_does_is_said_in_words() -> None:
    assert "delivered" in found("file", path="/x")[2]
    assert "5m" in found("file", path="/x")[2]
    assert "never" in found("file", path="/x", late="hold_back")[2]
    late = {"events": "elsewhere", "index": "old", "after": "2h"}
    assert "older than 2h" in found("splunk_hec", url="https://splunk.example:8088", token="t", late=late)[2]
