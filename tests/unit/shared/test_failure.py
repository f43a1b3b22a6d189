"""Names become blob names, table keys and URLs: what is accepted must be safe in all of them, and lead to one place."""

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.core.errors import BadInput
from shared.core.failure import Failure, Window, blob_name, checked_cab_id

APPLICATION = "13984104677400476"
HASH = "1fd83f6d-9fe0-96ec-2c47-ef08b65ccbed"
CAB = "fb57b37b-d364-4caf-995b-d99ae651ee18"
FAILURE = Failure(APPLICATION, HASH)
# Plain names, so that enough are accepted, and what could break out of one, so that enough might.
PLAIN = st.from_regex(r"[0-9A-Za-z-]{1,70}", fullmatch=True)
PARTS = PLAIN | st.text(st.sampled_from("ab09.-_/\\%?# \n:é\0"), max_size=12) | st.text(max_size=140)


@given(application_id=PARTS, failure_hash=PARTS, cab_id_hash=PARTS, path=st.text(max_size=40) | PARTS)
def test_a_blob_name_has_three_segments_and_leads_nowhere_else(
    application_id: str, failure_hash: str, cab_id_hash: str, path: str
) -> None:
    try:
        failure = Failure(application_id, failure_hash)
        name = blob_name(failure, checked_cab_id(cab_id_hash), path)
    except BadInput:
        return
    first, second, third = name.split("/")
    assert (first, second) == (application_id, failure_hash)
    assert third.startswith(cab_id_hash)
    assert not {first, second, third} & {"", ".", ".."}
    assert name.isascii()
    assert name.isprintable()
    assert not set(name) & set('\\?#%*:|"<>'), "not a file's name on every system"
    assert not name.endswith("."), "Azure Storage drops a dot at the end"
    assert len(name) <= 1_024
    assert name.startswith(failure.prefix)


@given(application_id=PARTS, failure_hash=PARTS | PARTS.map(lambda text: f"{text}_{text}"))
def test_two_failures_never_share_a_partition_of_the_cabs_table(application_id: str, failure_hash: str) -> None:
    try:
        failure = Failure(application_id, failure_hash)
    except BadInput:
        return
    assert failure.cabs_partition.split("_", 1) == [application_id, failure_hash]


@pytest.mark.parametrize(
    "bad", ["", " ", "..", ".", "a/b", "a\\b", "../a", "a_b", "a b", "a\n", "é", "a%2fb", "a" * 65]
)
def test_an_application_id_that_could_break_a_name_is_refused(bad: str) -> None:
    with pytest.raises(BadInput, match="applicationId"):
        Failure(bad, HASH)


@pytest.mark.parametrize("bad", ["", "..", ".a", "a.", "-", "a/b", "a\\b", "a\0b", "a?b", "a#b", "a" * 129])
def test_a_hash_that_could_break_a_name_is_refused(bad: str) -> None:
    with pytest.raises(BadInput, match="failureHash"):
        Failure(APPLICATION, bad)
    with pytest.raises(BadInput, match="cabIdHash"):
        checked_cab_id(bad)


def test_a_missing_id_is_called_missing() -> None:
    with pytest.raises(BadInput, match="missing"):
        Failure("", HASH)


@pytest.mark.parametrize(
    ("path", "extension"),
    [
        (f"/kernel-20170407/{CAB}.ext.zip", ".ext.zip"),
        (f"/kernel-20170407/{CAB}.cab", ".cab"),
        (f"/kernel-20170407/{CAB}", ""),
        ("/kernel-20170407/other.name.cab", ".name.cab"),
        ("/kernel-20170407/other", ""),
        ("/kernel-20170407/", ""),
        ("", ""),
        (f"/kernel/{CAB}.a b", ""),
        (f"/kernel/{CAB}%2E%2E%2Fx", ""),
        (f"/kernel/{CAB}..", ""),
        (f"/kernel/{CAB}.{'x' * 17}", ""),
        (f"/kernel/{CAB}.a.b.c.d.e", ""),
    ],
)
def test_the_extension_is_the_sources_where_it_is_one(path: str, extension: str) -> None:
    """WinDbg and unzip go by it; nobody documented `.ext.zip`."""
    assert blob_name(FAILURE, CAB, path) == f"{APPLICATION}/{HASH}/{CAB}{extension}"


def test_a_window_that_ends_before_it_starts_is_refused() -> None:
    day = date(2026, 1, 2)
    assert Window(day, day).start == day
    with pytest.raises(BadInput, match="2026-01-02 is after endDate 2026-01-01"):
        Window(day, date(2026, 1, 1))


def test_failures_are_one_by_value() -> None:
    """A report names one a thousand times; it is queued once."""
    assert {Failure(APPLICATION, HASH), Failure(APPLICATION, HASH)} == {FAILURE}
    assert str(FAILURE) == f"failure {HASH} of application {APPLICATION}"
