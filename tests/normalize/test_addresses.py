"""What counts as an address."""

import pytest

from forwarder.normalize.addresses import valid_ip, valid_mail, web_address


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


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("corp.example.com", "https://corp.example.com"),
        ("Corp.Example.COM:8443/Wiki?x=1#y", "https://corp.example.com:8443/Wiki?x=1#y"),
        (" corp.example.com. ", "https://corp.example.com"),
        ("corp.example.com./wiki", "https://corp.example.com/wiki"),
        ("//corp.example.com/wiki", "https://corp.example.com/wiki"),
        ("user:password@corp.example.com/wiki", "https://corp.example.com/wiki"),
        ("https://user:password@corp.example.com:444/x", "https://corp.example.com:444/x"),
        ("HTTPS://corp.example.com/people/@nora", "https://corp.example.com/people/@nora"),
        ("https://corp.example.com/people/@nora", "https://corp.example.com/people/@nora"),
        ("http://corp.example.com", "http://corp.example.com"),
        ("bücher.example/ä", "https://bücher.example/ä"),
        ("xn--bcher-kva.example", "https://xn--bcher-kva.example"),
        ("192.0.2.1:80", "https://192.0.2.1:80"),
        ("[2001:db8::1]:8443/x", "https://[2001:db8::1]:8443/x"),
    ],
)
def test_an_address_of_the_web_needs_no_scheme(text, address):
    assert web_address(text) == address


@pytest.mark.parametrize(
    "text",
    ["", None, "corp", "localhost:8080", "not a host", "javascript:alert(1)", "ftp://corp.example.com", "mailto:nora@example.com",
     "nora@example.com", "corp..example.com", "-corp.example.com", "corp.example.com\\evil", "corp.example.com/a b", "2001:db8::1",
     "corp.example.com,other.example.com", "https:corp.example.com", "1.2.3", "x" * 300 + ".example", "a." * 100_000],
)  # fmt: skip
def test_what_is_no_address_of_the_web_gets_no_scheme(text):
    assert web_address(text) is None
