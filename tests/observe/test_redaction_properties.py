"""Planted secrets never come out, whatever surrounds them and wherever they are planted."""

import io
import json
import logging
from collections.abc import Callable

import structlog
from hypothesis import given, settings
from hypothesis import strategies as st

from forwarder.contracts.text import visible
from forwarder.observe.logs import LogSetup
from forwarder.observe.redaction import Redactor
from tests.examples import examples

# a core that no other part of a line contains, in the middle of anything; secrets are stripped where they are read
secrets = st.builds(
    lambda left, right: (left + "zQ9-k7w" + right).strip(),
    st.text(max_size=8),
    st.text(max_size=8),
).filter(lambda text: "*" not in text)
around = st.text(max_size=12)
CORE = "zQ9-k7w"


def holders(secret: str) -> st.SearchStrategy[object]:
    """Return values that hold the secret somewhere inside."""
    text = st.builds(lambda a, b: a + secret + b, around, around)
    leaf = st.one_of(
        text,
        text.map(lambda t: t.encode("utf-8", "surrogatepass")),
        text.map(ValueError),
        text.map(lambda t: KeyError([t])),
    )
    return st.recursive(
        leaf,
        lambda inner: st.one_of(
            st.lists(inner, min_size=1, max_size=3),
            st.dictionaries(around, inner, min_size=1, max_size=3),
            st.tuples(inner, inner),
            text.flatmap(lambda key: inner.map(lambda value: {key: value})),
        ),
        max_leaves=4,
    )


def logged(style: str, secret: str, write: Callable[[], None]) -> str:
    stream = io.StringIO()
    setup = LogSetup(Redactor(lambda: [secret]), format=style, stream=stream, level="debug")  # type: ignore[arg-type]
    try:
        write()
    finally:
        setup.close()
    return stream.getvalue()


@given(data=st.data(), secret=secrets, style=st.sampled_from(["json", "console"]))
@settings(max_examples=examples(150), deadline=None)
def test_fields_keys_and_events(data, secret, style):
    value, name = data.draw(holders(secret)), data.draw(around)
    written = logged(
        style,
        secret,
        lambda: structlog.get_logger(name + secret).warning(name + secret, value=value, other={name: value}),
    )
    assert CORE not in written
    if style == "json":
        assert CORE not in repr(json.loads(written))


@given(secret=secrets, before=around, after=around, style=st.sampled_from(["json", "console"]))
@settings(max_examples=examples(100), deadline=None)
def test_exceptions_causes_and_groups(secret, before, after, style):
    text = before + secret + after

    def write() -> None:
        try:
            try:
                raise OSError(5, text)  # noqa: TRY301
            except OSError as error:
                error.add_note(text)
                raise ExceptionGroup("g", [KeyError(text), ValueError({text: [text]})]) from error
        except ExceptionGroup:
            structlog.get_logger("x").exception("failed", detail=text)
            logging.getLogger("lib").exception("failed %s", text)

    assert CORE not in logged(style, secret, write)


@given(text=st.text(alphabet=st.characters()), style=st.sampled_from(["json", "console"]))
@settings(max_examples=examples(150), deadline=None)
def test_one_event_is_one_printable_line(text, style):
    written = logged(
        format, "unused-secret", lambda: structlog.get_logger("x").warning(text, value=text, **{f"k{text}": [text]})
    )
    assert written.endswith("\n")
    assert written[:-1].isprintable()


@given(text=st.text(alphabet=st.characters()))
def test_visible_is_printable_and_leaves_printable_text_alone(text):
    assert visible(text).isprintable()
    assert visible(visible(text)) == visible(text)
    kept = visible(text, keep="\n")
    assert kept.count("\n") == text.count("\n")
    assert kept.replace("\n", "").isprintable()
