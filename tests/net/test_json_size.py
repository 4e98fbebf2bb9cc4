"""What is said to stop a reader of JSON does, and what does not is said to be sound."""

import json

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from forwarder.net.json_size import why_unsound

TEXTS = st.text() | st.from_regex(r"[\[:, \"\\\\-]{0,3}[0-9]{1,3}(\.[0-9])?[eE]\+?[0-9]{3}", fullmatch=True)
NUMBERS = st.sampled_from(("1e400", "-2.5E+999", "[1e999]", "[ 1,\t1e999]", "12", "1e-999", "0.5e12", "9" * 400))


@given(st.dictionaries(TEXTS, TEXTS | st.lists(TEXTS), max_size=4), st.lists(NUMBERS, max_size=3), st.booleans())
@example({"id": "712020:517e396d-be18-48af-9d38-53505d7e80a7"}, [], False)
@example({"[1e999": ',"1e999'}, ["1e999"], True)
def test_a_number_out_of_range_is_found_outside_of_texts_only(members, numbers, spaced):
    text = json.dumps(members, ensure_ascii=spaced, separators=(", ", ": ") if spaced else (",", ":"))
    more = ",".join(f'"n{at}":{number}' for at, number in enumerate(numbers))
    body = (text[:-1] + ("," if more and members else "") + more + "}").encode("utf-8", "replace")
    try:
        msgspec.json.decode(body)
        refused = any(len(number) > 300 for number in numbers)
    except msgspec.DecodeError:
        refused = True
    assert (why_unsound(body) is not None) == refused, body


@pytest.mark.parametrize("ident", ["712020:517e396d-be18-48af-9d38-53505d7e80a7", "1:1e999", '\\":1e999', "[1e999]"])
def test_an_id_that_looks_like_a_large_number_is_sound(ident):
    assert why_unsound(json.dumps({"id": ident, "of": [ident, {ident: ident}]}).encode()) is None
