"""A reader of structured data that is not ours (syslog-rfc5424-parser), made strict, and told to unescape."""

import re
import warnings

with warnings.catch_warnings():  # its grammar library imports a module that Python 3.11 calls deprecated
    warnings.simplefilter("ignore", DeprecationWarning)
    from syslog_rfc5424_parser import SyslogMessage

from forwarder.formats.structured_data.names import NAMES

ORDER = [name.name for name in NAMES]
CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")
ESCAPE = re.compile(r'\\(["\\\]])')
STANDS_FOR_BACKSLASH = "\ufdd0\ufdd1\ufdd2\ufdd3"


def strictly(element: bytes) -> dict[str, str]:
    """Return the parameters of the one element; assert that nothing else is there."""
    text = element.decode("utf-8")
    assert not CONTROL.search(text), "a control character in the record"
    # The parser takes the quote behind an escaped backslash for an escaped quote, so backslashes are hidden from it.
    hidden = next(char for char in STANDS_FOR_BACKSLASH if char not in text)
    text = ESCAPE.sub(lambda found: hidden if found[1] == "\\" else found[0], text)
    message = SyslogMessage.parse(f"<110>1 2026-01-31T00:00:00Z host app 1 id {text} the message")
    assert message.msg == "the message"
    assert list(message.sd) == ["atlassian@32473"]
    found = message.sd["atlassian@32473"]
    assert list(found) == [name for name in ORDER if name in found], "the order"
    for name, value in found.items():
        assert re.fullmatch(r"[!#-<>-\\^-~]{1,32}", name)  # SD-NAME of section 6.3.3
        assert not re.search(r'["\]\\]', ESCAPE.sub("", value)), f"{name} is not escaped"
        assert value, f"{name} is empty"
    return {name: ESCAPE.sub(r"\1", value).replace(hidden, "\\") for name, value in found.items()}
