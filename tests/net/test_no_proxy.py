"""Which hosts NO_PROXY keeps from the proxy, by the examples of the manuals of curl, Go and Python."""

import pytest

from forwarder.net.no_proxy import goes_directly
from forwarder.net.urls import way_of_environment


@pytest.mark.parametrize(
    ("host", "port", "no_proxy", "directly"),
    [
        ("es.corp.net", 443, "", False),
        ("es.corp.net", 443, "*", True),
        ("es.corp.net", 443, "a, *", True),
        ("es.corp.net", 443, "corp.net", True),
        ("es.corp.net", 443, ".corp.net", True),
        ("corp.net", 443, ".corp.net", True),
        ("es.corp.net", 443, "*.corp.net", True),
        ("corp.net", 443, "*.corp.net", False),
        ("escorp.net", 443, "corp.net", False),
        ("corp.net.evil.com", 443, "corp.net", False),
        ("ES.Corp.NET", 443, "es.CORP.net", True),
        ("es.corp.net.", 443, "corp.net", True),
        ("es.corp.net", 443, "corp.net.", True),
        ("es.corp.net", 443, "es.corp.net:443", True),
        ("es.corp.net", 9200, "es.corp.net:443", False),
        ("es.corp.net", 9200, "corp.net:9200", True),
        ("es.corp.net", 443, "a.b,  corp.net ,c.d", True),
        ("es.corp.net", 443, "a.b corp.net", True),
        ("es.corp.net", 443, "a.b\tcorp.net\n", True),
        ("es.corp.net", 443, ",,", False),
        ("es.corp.net", 443, "https://corp.net", True),
        ("10.1.2.3", 443, "10.0.0.0/8", True),
        ("11.1.2.3", 443, "10.0.0.0/8", False),
        ("10.1.2.3", 443, "10.9.9.9/8", True),
        ("10.1.2.3", 443, "10.1.2.3", True),
        ("10.1.2.3", 443, "10.1.2.3:80", False),
        ("10.1.2.3", 443, "1.2.3", False),
        ("10.1.2.3", 443, "3", False),
        ("10.1.2.3", 443, "fd00::/8", False),
        ("fd00::1", 443, "fd00::/8", True),
        ("[fd00::1]", 443, "fd00:0:0::1", True),
        ("fd00::1", 443, "[fd00::1]", True),
        ("fd00::1", 443, "[fd00::1]:443", True),
        ("fd00::1", 80, "[fd00::1]:443", False),
        ("::ffff:10.1.2.3", 443, "10.0.0.0/8", True),
        ("es.corp.net", 443, "10.0.0.0/8", False),
        ("es.corp.net", 443, "10.0.0.0/999, corp.net", True),
        ("es.corp.net", 443, ".", False),
        ("es.corp.net", 443, "*.", False),
        ("es", 443, "es", True),
    ],
)
def test_entries(host, port, no_proxy, directly):
    assert (goes_directly(host, port, no_proxy) is not None) is directly


@pytest.fixture
def environment(monkeypatch):
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    return monkeypatch


def test_the_way_is_told_with_its_reason(environment):
    assert way_of_environment("https", "es.corp.net", 443) == (None, "")
    environment.setenv("HTTPS_PROXY", "proxy.corp.net:3128")
    assert way_of_environment("https", "es.corp.net", 443) == ("http://proxy.corp.net:3128", "HTTPS_PROXY")
    assert way_of_environment("http", "es.corp.net", 80) == (None, "")
    environment.setenv("ALL_PROXY", "http://all.corp.net:1")
    assert way_of_environment("http", "es.corp.net", 80) == ("http://all.corp.net:1", "ALL_PROXY")
    environment.setenv("no_proxy", "Corp.NET")
    assert way_of_environment("https", "es.corp.net", 443) == (
        None,
        "Corp.NET of NO_PROXY keeps it from the proxy of HTTPS_PROXY",
    )
    assert way_of_environment("https", "127.0.0.1", 443)[0] is None
