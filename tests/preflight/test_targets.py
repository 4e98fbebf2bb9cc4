"""Two sinks of one place are found, however it is spelled; two that a destination can tell apart are worth a look."""

from typing import Any

import pytest

from forwarder.cli.commands.check import build_sink
from forwarder.config.settings import Settings
from forwarder.preflight.targets import same_logs, same_targets, shared_targets

ES: dict[str, Any] = {"type": "elasticsearch"}
HEC: dict[str, Any] = {"type": "splunk_hec", "token": "t-1"}
HTTP: dict[str, Any] = {"type": "http", "insecure": True}
SYSLOG: dict[str, Any] = {"type": "syslog", "insecure": True}


async def verdict(one: dict[str, Any], other: dict[str, Any]) -> str:
    source = {"type": "organization", "org_id": "org-1", "api_key": "k"}
    settings = Settings(sources={"acme": source}, sinks={"one": one, "two": other})
    sinks = {name: build_sink(name, config) for name, config in settings.sinks.items()}
    try:
        found = list(same_targets(sinks, settings.sinks))
    finally:
        for sink in sinks.values():
            await sink.close()
    if not found:
        return "apart"
    [(problem, may_be_meant)] = found
    assert problem.path == "sinks.two"
    assert "one" in problem.what
    assert problem.fix
    return "look" if may_be_meant else "same"


def test_an_organization_is_one_whatever_the_case_and_dashes_of_its_id():
    ids = {
        "a": "3b1a2c4d-1111-4222-8333-444455556666",
        "b": "3B1A2C4D-1111-4222-8333-444455556666",
        "c": "3b1a2c4d111142228333444455556666",
        "d": "3b1a2c4d-1111-4222-8333-444455556667",
    }
    sources = {name: {"type": "organization", "org_id": org, "api_key": "k"} for name, org in ids.items()}
    settings = Settings(sources=sources, sinks={"out": {"type": "file", "path": "-"}})
    assert [each.path for each in same_logs(settings)] == ["sources.b", "sources.c"]


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        (ES | {"url": "https://es.corp.net"}, ES | {"url": "https://ES.corp.NET:443/"}, "same"),
        (ES | {"url": "https://es.corp.net:9200/p"}, ES | {"url": "https://es.corp.net.:9200/p/"}, "same"),
        (ES | {"url": "https://es.corp.net:9200/p"}, ES | {"url": "https://es.corp.net:9200/P"}, "apart"),
        (ES | {"url": "http://localhost:9200"}, ES | {"url": "http://127.0.0.1:9200", "format": "ecs"}, "same"),
        (ES | {"url": "http://localhost:9200"}, ES | {"url": "http://[::1]:9200"}, "same"),
        (ES | {"url": "https://[2001:db8::1]"}, ES | {"url": "https://[2001:0db8:0:0::1]:443"}, "same"),
        (
            ES | {"url": "https://es.corp.net"},
            ES | {"url": "https://es.corp.net", "exclude": [{"product": "jira"}]},
            "look",
        ),
        (
            ES | {"url": "https://es.corp.net"},
            ES | {"url": "https://es.corp.net", "data_stream": "logs-atlassian.audit-two"},
            "apart",
        ),
        (HEC | {"url": "https://hec.corp.net:8088"}, HEC | {"url": "https://hec.corp.net:8088/"}, "same"),
        (
            HEC | {"url": "https://hec.corp.net:8088"},
            HEC | {"url": "https://hec.corp.net:8088", "index": "two"},
            "apart",
        ),
        (
            HEC | {"url": "https://hec.corp.net:8088"},
            HEC | {"url": "https://hec.corp.net:8088", "format": "ecs"},
            "look",
        ),
        (
            HEC | {"url": "https://hec.corp.net:8088"},
            HEC | {"url": "https://hec.corp.net:8088", "token": "t-2"},
            "look",
        ),
        (HTTP | {"url": "https://x.corp.net/in"}, HTTP | {"url": "https://x.corp.net:443/in/"}, "same"),
        (HTTP | {"url": "https://x.corp.net/in?a=1"}, HTTP | {"url": "https://x.corp.net/in?a=2"}, "apart"),
        (HTTP | {"url": "http://x.corp.net:80/%69n"}, HTTP | {"url": "http://X.corp.net/in"}, "same"),
        (SYSLOG | {"address": "tcp://siem.corp.net:601"}, SYSLOG | {"address": "tcp://SIEM.corp.net:601"}, "same"),
        (SYSLOG | {"address": "udp://siem.corp.net:514"}, SYSLOG | {"address": "udp://SIEM.corp.net.:514"}, "same"),
        (
            SYSLOG | {"address": "tcp://siem.corp.net:601"},
            SYSLOG | {"address": "tcp://siem.corp.net:601", "format": "leef"},
            "look",
        ),
        (SYSLOG | {"address": "tcp://siem.corp.net:601"}, SYSLOG | {"address": "tcp://siem.corp.net:602"}, "apart"),
        (ES | {"url": "https://x.corp.net:443"}, HTTP | {"url": "https://x.corp.net:443"}, "apart"),
    ],
)
async def test_places(one, other, expected):
    assert await verdict(one, other) == expected
    assert await verdict(other, one) == expected


async def test_files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    file = {"type": "file"}
    assert (
        await verdict(file | {"path": "a.ndjson"}, file | {"path": str(tmp_path / "real" / ".." / "a.ndjson")})
        == "same"
    )
    assert await verdict(file | {"path": "real/a"}, file | {"path": "link/a", "format": "ecs"}) == "same"
    assert await verdict(file | {"path": "-"}, file | {"path": "-"}) == "same"
    assert await verdict(file | {"path": "a"}, file | {"path": "b"}) == "apart"


async def test_doctor_asks_the_same(tmp_path):
    source = {"type": "organization", "org_id": "org-1", "api_key": "k"}
    hec = HEC | {"url": "https://hec.corp.net"}
    settings = Settings(sources={"acme": source}, sinks={"one": hec, "two": hec, "three": hec | {"format": "ecs"}})
    failed, looks = await shared_targets(settings)
    assert [problem.path for problem in failed] == ["sinks.two"]
    assert [problem.path for problem in looks] == ["sinks.three"]
