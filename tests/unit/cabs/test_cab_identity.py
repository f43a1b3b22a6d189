"""No two cabs share a name, and what merely stands beside a cab is not taken for it."""

from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.cabs.identity import blob_name, cab_in
from shared.core.failure import HASH, Failure

FAILURE = Failure("13984104677400476", "1fd83f6d-9fe0-96ec-2c47-ef08b65ccbed")
CAB = "fb57b37b-d364-4caf-995b-d99ae651ee18"
IDS = st.from_regex(HASH, fullmatch=True).filter(lambda text: text.strip("-."))
EXTENSIONS = st.from_regex(r"(?:\\.[a-z]{1,5}){0,3}", fullmatch=True)


def named(cab: str = CAB, failure: Failure = FAILURE) -> dict[str, str]:
    return {
        "applicationid": failure.application_id,
        "failurehash": quote(failure.failure_hash),
        "cabidhash": quote(cab),
    }


def test_two_cabs_never_share_a_name() -> None:
    one, other = blob_name(FAILURE, "a", "/k/a.b.zip"), blob_name(FAILURE, "a.b", "/k/a.b.zip")
    assert one != other
    assert (cab_in(one, named("a")), cab_in(other, named("a.b"))) == ("a", "a.b")


@given(one=IDS, other=IDS, ends=EXTENSIONS, others=EXTENSIONS)
def test_no_two_ids_make_one_name(one: str, other: str, ends: str, others: str) -> None:
    if one != other:
        names = blob_name(FAILURE, one, f"/k/{one}{ends}"), blob_name(FAILURE, other, f"/k/{other}{others}")
        assert names[0] != names[1]


def test_the_name_of_a_guid_is_as_promised() -> None:
    assert blob_name(FAILURE, CAB, f"/k/{CAB}.ext.zip") == f"{FAILURE.prefix}{CAB}.ext.zip"


@pytest.mark.parametrize("extension", ["", ".zip", ".ext.zip", ".cab", ".of.some.kind"])
def test_metadata_says_which_cab_a_blob_is(extension: str) -> None:
    assert cab_in(f"{FAILURE.prefix}{CAB}{extension}", named()) == CAB
    # As an earlier version spelled both.
    assert cab_in(f"{FAILURE.prefix}{CAB.upper()}{extension}", named(CAB.upper())) == CAB
    assert cab_in(f"{FAILURE.prefix}a.b{extension}", named("a.b")) == "a.b"


@pytest.mark.parametrize("extension", [".zip", ".ext.zip", ".cab"])
def test_a_blob_without_metadata_is_a_cab_where_its_name_is_one(extension: str) -> None:
    assert cab_in(f"{FAILURE.prefix}{CAB}{extension}", {"who": "somebody"}) == CAB


@pytest.mark.parametrize(
    ("name", "metadata"),
    [
        (f"{FAILURE.prefix}{CAB}.analysis.txt", {}),
        (f"{FAILURE.prefix}{CAB}.ext.zip.txt", {}),
        (f"{FAILURE.prefix}{CAB}", {}),
        (f"{FAILURE.prefix}{CAB}-copy.zip", named()),
        (f"{FAILURE.prefix}notes.txt", named()),
        (f"{FAILURE.prefix}{CAB}.zip", named("another")),
        (f"{FAILURE.prefix}{CAB}.zip", named(failure=Failure("1", "a"))),
        (f"{FAILURE.prefix}{CAB}.zip", {"cabIdHash": CAB}),
        (f"{FAILURE.prefix}more/{CAB}.zip", named()),
        (f"{CAB}.zip", named()),
        (f"{FAILURE.prefix}.zip", {}),
        (f"{FAILURE.prefix}a b.zip", named("a b")),
    ],
)
def test_what_is_something_else_is_no_cab(name: str, metadata: dict[str, str]) -> None:
    assert cab_in(name, metadata) == ""
