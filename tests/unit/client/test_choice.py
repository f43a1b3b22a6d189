"""Names, globs and short hashes mean what a person expects, or are refused."""

from datetime import UTC, datetime

import pytest
from cabferry.catalog import Cab, newest_rows
from cabferry.choice import Filters, chosen, moment_since, one_cab, short_hashes
from cabferry.failures import summaries
from cabferry.problems import ProblemError

ONE = "1fd83f6d-9fe0-96ec-2c47-ef08b65ccbed"
TWO = "1fd83f6d-0000-96ec-2c47-ef08b65ccbed"
CAB = "aaaabbbb-0000-0000-0000-000000000001"
DAY = 86_400_000_000


def cab(failure: str = ONE, name: str = "0x9F_3_acme!Power", number: int = 1, **more: object) -> Cab:
    told: dict[str, object] = {
        "applicationId": "1",
        "failureHash": failure,
        "failureName": name,
        "driverName": "acme.sys",
        "driverVersion": "1.2.3.4",
        "osVersion": "10.0.26100.2314",
        "cabIdHash": f"aaaabbbb-0000-0000-0000-{number:012}",
        "state": "copied",
        "blobName": f"1/{failure}/{number}.cab",
        "date": number * DAY,
    }
    return Cab(**{**told, **more})  # type: ignore[arg-type]


CABS = [cab(), cab(number=2), cab(TWO, "0xD1_acme!Isr", 3), cab(TWO, "0xD1_acme!Isr", 4, driverName="other.sys")]


@pytest.mark.parametrize(
    ("wanted", "numbers"),
    [
        ("acme.sys", [1, 2, 3]),
        ("ACME.SYS", [1, 2, 3]),
        ("*.sys", [1, 2, 3, 4]),
        ("0xD1_acme!Isr", [3, 4]),
        ("0x9f*", [1, 2]),
        (ONE, [1, 2]),
        ("1FD83F6D9", [1, 2]),
        ("1fd83f6d-0", [3, 4]),
        (CAB, [1]),
        ("aaaabbbb000000000000000000000002", [2]),
    ],
)
def test_what_is_meant(wanted: str, numbers: list[int]) -> None:
    assert [each.blobName.split("/")[2] for each in chosen(CABS, wanted)] == [f"{number}.cab" for number in numbers]


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        ("1fd83f6d", f"start of 2 hashes \\({TWO}, {ONE}\\)"),
        ("acme", "did you mean 0x9F_3_acme!Power or 0xD1_acme!Isr or acme.sys"),
        ("1fd83f6", "no failure"),
        ("", "no failure"),
        ("deadbeef00", "`cabferry failures` lists them"),
    ],
)
def test_what_is_not_clear_is_refused(wanted: str, said: str) -> None:
    with pytest.raises(ProblemError, match=said):
        chosen(CABS, wanted)


def test_a_cab_is_shown_by_its_hash_and_a_failure_by_its_newest_held_cab() -> None:
    assert one_cab(CABS, CAB).blobName.endswith("/1.cab")
    assert one_cab([*CABS, cab(number=9, state="expired", blobName="")], ONE).blobName.endswith("/2.cab")


def test_short_hashes_mean_one_each() -> None:
    assert short_hashes([ONE, TWO, CAB]) == {ONE: "1fd83f6d9", TWO: "1fd83f6d0", CAB: "aaaabbbb"}
    assert short_hashes(["abcdefgh", "abcdefghi"]) == {"abcdefgh": "abcdefgh", "abcdefghi": "abcdefghi"}


@pytest.mark.parametrize(
    ("filters", "takes"),
    [
        (Filters(version="1.2.*"), True),
        (Filters(version="1.3.*"), False),
        (Filters(os="24H2"), True),
        (Filters(os="23H2"), False),
        (Filters(os="26100"), True),
        (Filters(os="10.0.2*"), True),
        (Filters(architecture="x64"), False),
        (Filters(since=2 * DAY), False),
        (Filters(driver="ACME.sys", since=DAY), True),
    ],
)
def test_filters(filters: Filters, takes: bool) -> None:
    assert filters.take(CABS[0]) is takes


def test_ages() -> None:
    now = datetime(2026, 11, 28, tzinfo=UTC)
    assert moment_since("7d", now) == moment_since("2026-11-21") == moment_since("168h", now)
    for wrong in ("7", "d", "yesterday", "999999d", "-1d"):
        with pytest.raises((ValueError, OverflowError)):
            moment_since(wrong, now)


def test_a_cab_in_two_files_counts_once_as_it_was_copied_last() -> None:
    listed, copied = cab(state="listed", copiedAt=None), cab(copiedAt=5)
    again = cab(copiedAt=5, failureName="named later")
    assert newest_rows([listed, copied]) == newest_rows([copied, listed]) == [copied]
    assert newest_rows([copied, again]) == [again]


def test_a_summary_counts_what_is_here_and_what_goes() -> None:
    now = 30 * DAY
    soon = cab(number=5, retiresAt=31 * DAY, copiedAt=29 * DAY, length=7, driverVersion="1.10.0.0")
    gone = cab(number=6, state="expired", blobName="", driverVersion="1.9.0.0")
    (told,) = summaries([soon, gone], Filters(), now)
    assert (told["cabs"], told["held"], told["newIn7Days"], told["bytes"]) == (2, 1, 1, 7)
    assert told["versions"] == ["1.10.0.0", "1.9.0.0"]
    assert told["nextGoneAt"] == "1970-02-01T00:00:00Z"
