"""Times come spelled in many ways, and one that cannot be read must never look like one that has passed."""

from datetime import UTC, datetime, timedelta

import pytest

from shared.core.clock import moment_of


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2017-05-07 13:53:43", datetime(2017, 5, 7, 13, 53, 43, tzinfo=UTC)),
        ("2017-05-07T13:53:43Z", datetime(2017, 5, 7, 13, 53, 43, tzinfo=UTC)),
        ("2017-05-07T15:53:43+02:00", datetime(2017, 5, 7, 13, 53, 43, tzinfo=UTC)),
        (" 2017-05-07T13:53:43.1234567 ", datetime(2017, 5, 7, 13, 53, 43, 123456, tzinfo=UTC)),
        ("2017-05-07T13:53:43.1234567Z", datetime(2017, 5, 7, 13, 53, 43, 123456, tzinfo=UTC)),
        ("2017-05-07", datetime(2017, 5, 7, tzinfo=UTC)),
        ("5/7/2017", datetime(2017, 5, 7, tzinfo=UTC)),
        ("05/07/2017", datetime(2017, 5, 7, tzinfo=UTC)),
        ("5/7/2017 1:53:43 PM", datetime(2017, 5, 7, 13, 53, 43, tzinfo=UTC)),
        ("5/7/2017, 1:53:43\N{NARROW NO-BREAK SPACE}PM", datetime(2017, 5, 7, 13, 53, 43, tzinfo=UTC)),
        ("5/7/2017 12:00:00 AM", datetime(2017, 5, 7, tzinfo=UTC)),
        ("5/7/2017 12:00 pm", datetime(2017, 5, 7, 12, tzinfo=UTC)),
        ("5/7/2017 13:53:43", datetime(2017, 5, 7, 13, 53, 43, tzinfo=UTC)),
        ("9999-12-31T23:59:59.9999999", datetime.max.replace(tzinfo=UTC)),
        ("12/31/9999 11:59:59 PM", datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)),
        ("9999-12-31T23:59:59-14:00", datetime.max.replace(tzinfo=UTC)),
        ("9999-12-31T23:59:59.9999999-08:00", datetime.max.replace(tzinfo=UTC)),
    ],
)
def test_every_spelling_that_was_seen_is_read(text: str, moment: datetime) -> None:
    assert moment_of(text) == moment


@pytest.mark.parametrize(
    "text",
    [
        "",
        "soon",
        "20",
        "1491573223",
        "2017-13-45",
        "13/7/2017",
        "2/30/2017",
        "0/0/0000",
        "5/7/2017 13:53:43 PM",
        "5/7/2017 0:53 AM",
        "5/7/2017 25:00",
        "\N{ARABIC-INDIC DIGIT FIVE}/7/2017",
        "0001-01-01T00:00:00",
        "0001-01-01T00:00:00+14:00",
        "1/1/0001 12:00:00 AM",
        "1600-12-31T23:59:59",
    ],
)
def test_what_is_no_time_or_none_that_was_ever_set_is_unknown(text: str) -> None:
    assert moment_of(text) is None


def test_the_last_moment_can_still_be_compared() -> None:
    never = moment_of("9999-12-31T23:59:59.9999999")
    assert never is not None
    assert never - datetime(2026, 1, 1, tzinfo=UTC) > timedelta(days=365)
