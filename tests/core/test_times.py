"""Timestamps: every spelling PE uses is read, nothing malformed raises, what we write reads back."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchbridge.core import times

MOMENT = datetime(2024, 3, 9, 10, 15, 42, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2024-03-09T10:15:42Z", MOMENT),
        ("2024-03-09t10:15:42z", MOMENT),
        ("2024-03-09 10:15:42", MOMENT),
        ("2024-03-09T12:15:42+02:00", MOMENT),
        ("2024-03-09T05:45:42-0430", MOMENT),
        ("2024-03-09T10:15:42.317Z", MOMENT.replace(microsecond=317_000)),
        ("2024-03-09T10:15:42.123456789Z", MOMENT.replace(microsecond=123_456)),
    ],
)
def test_reads_every_spelling(text, expected):
    assert times.parse(text) == expected
    assert times.parse(text).tzinfo is UTC
    assert times.seconds(text) == expected.timestamp()


@pytest.mark.parametrize(
    "text",
    [
        None,
        "",
        "2016-010-22T10:15:42Z",  # the vendor's own sample
        "2024-02-30T10:15:42Z",
        "2024-03-09",
        "2024-03-09T24:00:00Z",
        "2024-03-09T10:15:42+25:00",
        "2024-W10-6T10:15:42Z",
        "0001-01-01T00:00:00+10:00",
        "9999-12-31T23:59:59-10:00",
        "٢٠٢٤-٠٣-٠٩T10:15:42Z",
        "2024-03-09T10:15:42Z\n",
    ],
)
def test_malformed_is_none(text):
    assert times.parse(text) is None
    assert times.seconds(text) is None


@given(st.text(alphabet="0123456789-:.TZz+ \n", max_size=40))
def test_never_raises(text):
    times.parse(text)


@given(st.datetimes(timezones=st.just(UTC)))
def test_written_stamps_read_back_to_the_millisecond(moment):
    if moment.year == 9999:
        moment = moment.replace(year=9998)
    read = times.parse(times.text(moment.timestamp()))
    assert abs(read - moment) <= timedelta(milliseconds=1)


def test_writes_utc_with_milliseconds():
    assert times.text(1709979342.3171) == "2024-03-09T10:15:42.317Z"
    assert times.text(1709979341.9999) == "2024-03-09T10:15:42.000Z"
    assert times.text(0) == "1970-01-01T00:00:00.000Z"
