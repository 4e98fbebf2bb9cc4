"""Times against the standard library, which reads them another way."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from forwarder.normalize.times import DAY_MS, MEMORY, TimeReader, TimeWriter, names_zone

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MS = timedelta(milliseconds=1)
READER, WRITER = TimeReader(), TimeWriter()  # shared on purpose: what one time leaves behind must not bend the next

moments = st.datetimes(min_value=datetime(1, 1, 3), max_value=datetime(9999, 12, 29))  # noqa: DTZ001 - made aware below
zones = st.timedeltas(min_value=timedelta(hours=-23), max_value=timedelta(hours=23)).map(
    lambda delta: timezone(timedelta(minutes=delta // timedelta(minutes=1)))
)


@given(moments, zones, st.sampled_from(["auto", "seconds", "milliseconds", "microseconds"]))
def test_reads_what_isoformat_writes(moment, zone, spec):
    text = moment.replace(tzinfo=zone).isoformat(timespec=spec)
    assert READER.read(text) == (datetime.fromisoformat(text) - EPOCH) // MS
    assert names_zone(text)


@given(moments, st.sampled_from(["seconds", "milliseconds"]))
def test_reads_the_two_formats_of_the_api(moment, spec):
    text = moment.isoformat(timespec=spec) + "Z"
    expected = (datetime.fromisoformat(text) - EPOCH) // MS
    assert [READER.read(text), READER.read(text), TimeReader().read(text)] == [expected] * 3


@given(moments, st.text("0123456789", min_size=1, max_size=12))
def test_cuts_any_fraction_to_milliseconds(moment, digits):
    base = moment.replace(microsecond=0)
    expected = (base.replace(tzinfo=UTC) - EPOCH) // MS + int(digits.ljust(3, "0")[:3])
    assert READER.read(f"{base.isoformat()}.{digits}Z") == expected


@given(moments)
def test_a_time_without_zone_is_utc_and_known_as_such(moment):
    text = moment.isoformat(timespec="milliseconds")
    assert READER.read(text) == READER.read(text + "Z")
    assert not names_zone(text)


@given(moments)
def test_writes_what_it_reads(moment):
    ms = (moment.replace(tzinfo=UTC) - EPOCH) // MS
    text = WRITER.write(ms)
    assert READER.read(text) == ms
    assert datetime.fromisoformat(text) == EPOCH + ms * MS


@given(st.text(max_size=40))
@example("2024-10-03T10:44:26.45\u0667Z")
@example("2024-10-03T10:44: 6.457Z")
@example("2024-10-03T10:44:+6.457Z")
@example("2024-10-03T10:44:26.457Z\n")
def test_nonsense_is_no_time(text):
    assert TimeReader().read(text) is None or text[:4].isdigit()
    assert text[-1:] != "\n" or TimeReader().read(text) is None


@pytest.mark.parametrize(
    "text",
    [
        "", "yesterday", "2024-02-30T00:00:00Z", "2024-13-01T00:00:00Z", "2024-10-03", "1727952300000", "2024-10-03T24:00:00Z",
        "2024-10-03T10:44:60Z", "2024-10-03T10:60:00Z", "2024-10-03T10:44:26.Z", "2024-10-03T10:44:26.457+24:00",
        "0001-01-01T00:00:00+01:00", "9999-12-31T23:59:59-01:00", "0000-01-01T00:00:00Z", " 2024-10-03T10:44:26Z",
    ],
)  # fmt: skip
def test_no_time(text):
    warm = TimeReader()
    warm.read("2024-10-03T10:44:26Z")
    assert warm.read(text) is None


@pytest.mark.parametrize(
    "text", ["2024-10-03T10:44:26+0000", "2024-10-03 10:44:26Z", "2024-10-03t10:44:26z", "2024-10-03T10:44:26+00"]
)
def test_other_spellings(text):
    assert READER.read(text) == 1_727_952_266_000


def test_memory_is_bounded():
    reader, writer = TimeReader(), TimeWriter()
    for number in range(MEMORY + 10):
        assert reader.read(writer.write(number * DAY_MS)) == number * DAY_MS
    assert len(reader._days) <= MEMORY
    assert len(writer._days) <= MEMORY
