"""Names become blob names, table keys and URLs: what is accepted must be safe in all of them, and lead to one place."""

import uuid
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.cabs.identity import blob_name
from shared.core.errors import BadInput
from shared.core.failure import Failure, Window, checked_cab_id, normal_id

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
    assert third.startswith(normal_id(cab_id_hash).replace(".", "~")), "where the id ends, the extension begins"
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


SPELLINGS = [
    HASH,
    HASH.upper(),
    HASH[:9] + HASH[9:].upper(),
    HASH.replace("-", ""),
    HASH.replace("-", "").upper(),
    f"{{{HASH}}}",
    f"{{{HASH.upper()}}}",
    f"({HASH})",
    f"{{{HASH.replace('-', '')}}}",
    f" {HASH}\t",
    f"\ufeff{{ {HASH} }}\u200b",
]


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_a_guid_has_one_normal_form(spelling: str) -> None:
    """Else one cab is two blobs, and held under one name it is missing under the other."""
    assert Failure.named(APPLICATION, spelling) == FAILURE
    assert checked_cab_id(spelling) == HASH
    assert Failure.named(spelling, HASH).application_id == HASH


@pytest.mark.parametrize("plain", ["012345-5dbc9-b12f-c124-9d9810f05d8b", "Abc", "0F", HASH + "0", HASH[1:], "g" * 32])
def test_what_is_no_guid_keeps_its_spelling(plain: str) -> None:
    assert Failure.named(APPLICATION, plain).failure_hash == plain
    assert Failure(APPLICATION, plain).other_spellings() == []
    assert Failure(APPLICATION, plain).is_normal


@pytest.mark.parametrize(
    "nothing",
    ["", " ", "NULL", "null", " Null ", "N/A", "n/a", "none", "None", "-", "(null)", "undefined", "NaN", "\ufeff"]
    + [form.format("00000000-0000-0000-0000-000000000000") for form in ("{}", "{{{}}}", "({})")]
    + ["0" * 32],
)
def test_a_placeholder_is_no_id(nothing: str) -> None:
    """A cab of that name would stand for all that have none: the first is copied, the others count as held."""
    assert normal_id(nothing) == ""
    with pytest.raises(BadInput, match="cabIdHash is '', which is missing"):
        checked_cab_id(nothing)
    for name in (Failure.named, Failure.spelled):
        with pytest.raises(BadInput, match="failureHash is '', which is missing"):
            name(APPLICATION, nothing)
        with pytest.raises(BadInput, match="applicationId is '', which is missing"):
            name(nothing, HASH)


@given(st.uuids(), st.sampled_from(["{}", "{{{}}}", "({})"]), st.booleans(), st.booleans())
def test_the_normal_form_is_one_and_stays(guid: uuid.UUID, form: str, is_upper: bool, is_dashed: bool) -> None:
    text = form.format(str(guid) if is_dashed else guid.hex)
    normal = normal_id(text.upper() if is_upper else text)
    assert normal == (str(guid) if guid.int else "")
    assert normal_id(normal) == normal


def test_a_stored_failure_keeps_its_spelling_and_knows_the_others() -> None:
    old = Failure(APPLICATION, HASH.upper())
    assert old.failure_hash == HASH.upper()
    assert not old.is_normal
    assert FAILURE.other_spellings() == [old]
    mixed = Failure.spelled(APPLICATION, f"{{{HASH[:9] + HASH[9:].upper()}}}")
    assert mixed.other_spellings() == [mixed, old]


@pytest.mark.parametrize(
    "bad", ["", "..", ".a", "a.", "-", "a/b", "a\\b", "a\0b", "a?b", "a#b", "a" * 129, "{ab}", "{"]
)
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
