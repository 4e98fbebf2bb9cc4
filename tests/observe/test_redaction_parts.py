"""Secrets that come encoded, or in part: as headers, as escapes, and from texts that were cut before."""

import base64
import html
import json
import time
import urllib.parse

import pytest

from forwarder.observe.redaction import STARS, Redactor

TOKEN = "ATCTT3xFfGF0/k9Qw+Zr7uYbN2_pLs-VdX8hJ4="
UUID = "7f3a9c52-1b64-4e08-9d17-c5a2e60b84f1"
PASSWORD = "h:idden/2 & <co>"
SECRETS = [TOKEN, UUID, PASSWORD]
LONGEST_REST = 7
"""Characters of a secret that may be seen: fewer than these are no part of it that could be told from chance."""


def b64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def urlsafe(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode()).decode()


def rest_of(secret: str, text: str) -> int:
    """Return the length of the longest part of the secret in a text, in any case."""
    secret, text = secret.lower(), text.lower()
    longest = 0
    for start in range(len(secret)):
        while start + longest < len(secret) and secret[start : start + longest + 1] in text:
            longest += 1
    return longest


ENCODINGS = {
    "basic": lambda secret: b64(f"elastic:{secret}"),
    "basic of a longer name": lambda secret: b64(f"elastic2:{secret}"),
    "basic of a name longer still": lambda secret: b64(f"elastic22:{secret}"),
    "without padding": lambda secret: b64(f"u:{secret}").rstrip("="),
    "urlsafe": lambda secret: urlsafe(f"id-1:{secret}"),
    "urlsafe without padding": lambda secret: urlsafe(f"id:{secret}").rstrip("="),
    "base64 of itself": b64,
    "base64 twice": lambda secret: b64(b64(secret)),
    "hex": lambda secret: secret.encode().hex(),
    "HEX": lambda secret: secret.encode().hex().upper(),
    "upper case": str.upper,
    "lower case": str.lower,
    "percent": lambda secret: urllib.parse.quote(secret, safe=""),
    "percent in lower case": lambda secret: urllib.parse.quote(secret, safe="").lower(),
    "percent twice": lambda secret: urllib.parse.quote(urllib.parse.quote(secret, safe=""), safe=""),
    "every character percent-encoded": lambda secret: "".join(f"%{byte:02x}" for byte in secret.encode()),
    "form": urllib.parse.quote_plus,
    "json": lambda secret: json.dumps(secret).replace("/", "\\/"),
    "json in json": lambda secret: json.dumps(json.dumps([secret])),
    "json by numbers": lambda secret: "".join(f"\\u{ord(char):04X}" for char in secret),
    "html": html.escape,
    "html by numbers": lambda secret: "".join(f"&#{ord(char)};" for char in secret),
    "html by hex numbers": lambda secret: "".join(f"&#x{ord(char):x};" for char in secret),
    "html of percent": lambda secret: html.escape(urllib.parse.quote(secret, safe="")),
    "percent-u by numbers": lambda secret: "".join(f"%u{ord(char):04x}" for char in secret),
    "json by numbers in braces": lambda secret: "".join(f"\\u{{{ord(char):x}}}" for char in secret),
    "octal": lambda secret: "".join(f"\\{byte:03o}" for byte in secret.encode()),
    "hex with colons": lambda secret: secret.encode().hex(":"),
    "hex with spaces": lambda secret: secret.encode().hex(" "),
    "base32": lambda secret: base64.b32encode(f"u:{secret}".encode()).decode(),
    "from right to left": lambda secret: secret[::-1],
    "python bytes": lambda secret: repr(secret.encode()),
    "python bytes by numbers": lambda secret: "".join(f"\\x{byte:02x}" for byte in secret.encode()),
}


@pytest.mark.parametrize("encode", ENCODINGS.values(), ids=list(ENCODINGS))
@pytest.mark.parametrize("secret", SECRETS)
def test_every_encoding_goes_whole(secret, encode):
    encoded = encode(secret)
    for text in (encoded, f"Basic {encoded}, was refused", f'{{"error": "{encoded}"}}', f"x={encoded}&y=1"):
        found = Redactor(lambda: SECRETS).text(text)
        assert STARS in found
        assert rest_of(encoded.strip("\"'b[]\\"), found) < 6, found


@pytest.mark.parametrize("name", ["itself", "basic", "percent", "hex", "json", "html"])
@pytest.mark.parametrize("secret", SECRETS)
def test_a_secret_that_was_cut_at_any_place_is_known_by_what_is_left(secret, name):
    encoded = ENCODINGS.get(name, str)(secret)
    redactor = Redactor(lambda: SECRETS)
    for length in range(1, len(encoded) + 1):
        for cut in ("", "…", "...", "… (120 more characters)"):
            found = redactor.text(f"the key {encoded[:length]}{cut}")
            assert rest_of(secret, found) <= LONGEST_REST, found
            assert rest_of(encoded, found.partition("…")[0]) <= 3 * LONGEST_REST, found
        found = redactor.text(f"{encoded[length:]} is refused")
        assert rest_of(secret, found.removesuffix(" is refused")) <= LONGEST_REST, found


@pytest.mark.parametrize("change", [str, str.upper, str.lower])
@pytest.mark.parametrize("length", [8, 9, 11, 14, 16])
def test_the_middle_of_a_secret_is_known_too_wherever_it_begins(length, change):
    redactor = Redactor(lambda: [TOKEN])
    for start in range(len(TOKEN) - length + 1):
        assert rest_of(TOKEN, redactor.text(f"x={change(TOKEN[start : start + length])}!")) <= LONGEST_REST


@pytest.mark.parametrize(
    "secret", ["wi:thid0secretkey", b64("wi:thid0secretkey"), b64("wi:thid0secretkey").rstrip("=")]
)
def test_the_key_of_a_pair_is_a_secret_by_itself_however_the_pair_was_written(secret):
    redactor = Redactor(lambda: [secret])
    for text in ("thid0secretkey", "wi:thid0secretkey", b64("wi:thid0secretkey"), b64("thid0secretkey")):
        assert redactor.text(f"no {text} here") in {f"no {STARS} here", f"no wi:{STARS} here"}


@pytest.mark.parametrize(
    "text",
    [
        "the organization's events are behind",
        "Check tls.key_password and the elasticsearch sink.",
        "the password is refused; see production-cluster",
        "Elasticsearch answered 401: security_exception",
    ],
)
def test_words_that_a_weak_secret_has_in_common_with_our_texts_stay(text):
    weak = ["password123!", "organization-key-77", "elasticsearch-1", "my-production-password"]
    assert Redactor(lambda: weak).text(text) == text


def test_short_redacts_first_and_cuts_then():
    redactor = Redactor(lambda: SECRETS)
    for secret in SECRETS:
        for lead in range(60, 101):
            found = redactor.short("x" * lead + " " + secret + " and more " * 5, 100)
            assert rest_of(secret, found) < 4, found
            assert len(found) <= 100 + len("… (99999 more characters)")


def test_short_says_how_much_is_missing_and_looks_no_further_than_it_must():
    assert Redactor().short("x" * 100_000, 10) == "x" * 10 + "… (99990 more characters)"
    assert Redactor().short("a\nb", 10) == "a\\nb"


def test_secrets_with_line_ends_are_known_folded_and_line_by_line():
    secret = "first-line-of-it\nsecond-line-of-it"
    for text in ("first-line-of-it second-line-of-it", "first-line-of-it\\nsecond-line-of-it", "second-line-of-it"):
        assert "line-of" not in Redactor(lambda: [secret]).text(text)


@pytest.mark.parametrize(
    "piece",
    [
        "a.b-", "a://", "x@", "://", "cookie:", "cookie: \n", "authorization ", "bearer ", "%25", "&#37;", "\\u005c",
        "ATCTT3xF", "ATCTT3x", "hdYcCg==", "://a:b@", "apikey\t",
    ],
)  # fmt: skip
def test_redaction_takes_time_in_proportion_to_the_text(piece):
    redactor = Redactor(lambda: SECRETS)

    def seconds(size: int) -> float:
        text = piece * (size // len(piece))
        return min(_timed(redactor, text) for _ in range(3))

    small, large = seconds(50_000), seconds(400_000)
    assert large < 8 * 4 * max(small, 0.001)


def _timed(redactor: Redactor, text: str) -> float:
    begun = time.process_time()
    redactor.text(text)
    return time.process_time() - begun
