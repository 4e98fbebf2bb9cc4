"""What counts as an address."""

import pytest

from forwarder.normalize.addresses import valid_ip, valid_mail


@pytest.mark.parametrize("text", ["203.0.113.7", "::1", "2001:db8::7", "::ffff:203.0.113.7", "10.0.0.1"])
def test_ip(text):
    assert valid_ip(text)


@pytest.mark.parametrize(
    "text",
    ["", "unknown", "203.0.113.7:443", "203.0.113.7, 10.0.0.1", "[::1]", "fe80::1%eth0", "010.0.0.1", "1.2.3", "٣.1.1.1",
     "203.0.113.0/24", " 203.0.113.7", "1" * 100_000],
)  # fmt: skip
def test_no_ip(text):
    assert not valid_ip(text)


@pytest.mark.parametrize("text", ["nora.vale@example.com", "n+x@example.org", "grün@example.com"])
def test_mail(text):
    assert valid_mail(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Atlassian app",
        "a@",
        "@b",
        "a@b@c",
        "a b@example.com",
        "a@example.com\n",
        "<a@example.com>",
        "x" * 400 + "@example.com",
    ],
)
def test_no_mail(text):
    assert not valid_mail(text)
