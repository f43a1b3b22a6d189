"""The cab batch over HTTP, with cabs that really are in storage."""

import hashlib
from datetime import timedelta

import pytest
import requests
from azure.core.exceptions import HttpResponseError
from azure.storage.blob import BlobClient, ContainerClient

from local.azurite.server import Azurite
from local.cabs import ArchiveKind
from local.simulator.builder import CabForm
from local.simulator.faults import Call
from local.simulator.scenario import BatchForm, BlobHost, LastLink, LinkForm
from local.simulator.thread import SimulatorThread
from tests.support.azurite import StorageAccount

from .api_client import TIMEOUT, ApiClient


def md5(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


@pytest.mark.parametrize("count", [0, 1, 100, 101, 250])
def test_every_cab_is_listed_once(api: ApiClient, count: int) -> None:
    failure = api.simulator.builder.failure(count, CabForm(stored=False))
    api.simulator.publish()
    listed = [row["cabIdHash"] for row in api.rows(failure.key)]
    assert sorted(listed) == sorted(cab.cab_id_hash for cab in api.simulator.world.cabs(failure.key))
    assert len(listed) == count
    assert api.simulator.ledger.answers(Call.CAB_BATCH, 200) == max(1, -(-count // 100))


def test_a_cab_is_what_its_row_says_and_its_url_gives(api: ApiClient) -> None:
    failure = api.simulator.builder.failure(6, CabForm((100_000, 3_000_000)))
    api.simulator.publish()
    held = api.simulator.world.held
    for row in api.rows(failure.key):
        cab = requests.get(row["cabUrl"], timeout=TIMEOUT).content
        assert (len(cab), md5(cab)) == (held[row["cabIdHash"]].length, held[row["cabIdHash"]].md5)
        of_kind = (b"PK", ".ext.zip") if cab[:2] == b"PK" else (b"MSCF", ".cab")
        assert cab.startswith(of_kind[0])
        assert row["cabUrl"].partition("?")[0].endswith(row["cabIdHash"] + of_kind[1])


def test_the_rows_of_a_page_share_a_signature_time_and_a_signature_is_encoded(api: ApiClient) -> None:
    """A client that decodes and encodes a URL anew sends another signature: it must meet characters that show it."""
    failure = api.simulator.builder.failure(40, CabForm(stored=False))
    api.simulator.publish()
    queries = [row["cabUrl"].partition("?")[2] for row in api.rows(failure.key)]
    assert len({part for query in queries for part in query.split("&") if part.startswith("se=")}) == 1
    signatures = "".join(part for query in queries for part in query.split("&") if part.startswith("sig="))
    assert "%2F" in signatures
    assert "%2B" in signatures
    assert "%3D" in signatures
    assert "/" not in signatures


def test_a_signature_expires_in_storage_itself(api: ApiClient) -> None:
    failure = api.simulator.builder.failure(1)
    api.simulator.publish()
    api.simulator.form = BatchForm(sas_lifetime=-5)
    (row,) = api.rows(failure.key)
    expired = requests.get(row["cabUrl"], timeout=TIMEOUT)
    assert expired.status_code == 403
    assert "AuthorizationFailure" in expired.text or "AuthenticationFailed" in expired.text
    api.simulator.form = BatchForm()
    (row,) = api.rows(failure.key)
    assert requests.get(row["cabUrl"], timeout=TIMEOUT).status_code == 200


def test_a_signature_is_good_for_reading_one_blob_only(api: ApiClient) -> None:
    failure = api.simulator.builder.failure(2, CabForm(kind=ArchiveKind.ZIP))
    api.simulator.publish()
    first, second = api.rows(failure.key)
    assert requests.delete(first["cabUrl"], timeout=TIMEOUT).status_code == 403
    crossed = f"{second['cabUrl'].partition('?')[0]}?{first['cabUrl'].partition('?')[2]}"
    assert requests.get(crossed, timeout=TIMEOUT).status_code == 403


def test_storage_copies_from_the_source_accounts_by_itself(
    api: ApiClient, azurite: Azurite, storage: StorageAccount
) -> None:
    """The pull's cheap way: one request, and no byte through the function."""
    failure = api.simulator.builder.failure(3)
    api.simulator.publish()
    with ContainerClient.from_connection_string(storage.connection_string, "failure-cabs") as container:
        container.create_container()
        for row in api.rows(failure.key):
            target: BlobClient = container.get_blob_client(row["cabIdHash"])
            copied = target.start_copy_from_url(row["cabUrl"], requires_sync=True, metadata={"a": "b"}, tags={"c": "d"})
            assert copied["copy_status"] == "success"
            there = md5(target.download_blob().readall())
            assert there == api.simulator.world.held[row["cabIdHash"]].md5
    copies = [request for request in azurite.requests(storage.name) if request.method == "PUT"]
    assert [request.status for request in copies] == [201, 202, 202, 202]


def test_storage_cannot_copy_by_the_simulators_own_address_or_with_an_expired_signature(
    api: ApiClient, storage: StorageAccount
) -> None:
    """What makes a pull stream, or ask for a fresh URL, must be there to be met."""
    failure = api.simulator.builder.failure(1)
    api.simulator.publish()
    with ContainerClient.from_connection_string(storage.connection_string, "failure-cabs") as container:
        container.create_container()
        for form, status in ((BatchForm(cab_host=BlobHost.FRONT), 404), (BatchForm(sas_lifetime=-5), 403)):
            api.simulator.form = form
            (row,) = api.rows(failure.key)
            with pytest.raises(HttpResponseError, match="CannotVerifyCopySource") as refused:
                container.get_blob_client("x").start_copy_from_url(row["cabUrl"], requires_sync=True)
            assert refused.value.status_code == status


@pytest.mark.parametrize(
    ("form", "key", "start"),
    [
        (BatchForm(), "@nextLink", "driver/cabdownloadbatch?"),
        (BatchForm(link=LinkForm.ABSOLUTE), "@nextLink", "{url}/v1.0/my/analytics/driver/cabdownloadbatch?"),
        (BatchForm(link_key="nextLink", rows_key="value"), "nextLink", "driver/cabdownloadbatch?"),
    ],
)
def test_a_link_can_be_followed(api: ApiClient, form: BatchForm, key: str, start: str) -> None:
    failure = api.simulator.builder.failure(101, CabForm(stored=False))
    api.simulator.publish()
    api.simulator.form = form
    link = api.batch(failure.key).json()[key]
    assert link.startswith(start.format(url=api.simulator.url))
    url = link if link.startswith("http") else f"{api.simulator.url}/v1.0/my/analytics/{link}"
    second = api.session.get(url, timeout=TIMEOUT).json()
    assert len(second[form.rows_key]) == 1
    assert second[key] is None


def test_a_foreign_link_goes_to_a_host_that_would_notice_a_token(api: ApiClient) -> None:
    failure = api.simulator.builder.failure(101, CabForm(stored=False))
    api.simulator.publish()
    api.simulator.form = BatchForm(link=LinkForm.FOREIGN)
    link = api.batch(failure.key).json()["@nextLink"]
    assert link.startswith("http://localhost:")
    api.session.get(link, timeout=TIMEOUT)
    first, second = api.simulator.ledger.requests
    assert (first.host.partition(":")[0], second.host.partition(":")[0]) == ("127.0.0.1", "localhost")
    assert second.bearer


@pytest.mark.parametrize(
    ("form", "keys"),
    [
        (BatchForm(), {"Value", "@nextLink", "TotalCount"}),
        (BatchForm(total_count=False, last_link=LastLink.ABSENT, rows_key="value"), {"value"}),
        (BatchForm(link_key="nextLink"), {"Value", "nextLink", "TotalCount"}),
    ],
)
def test_a_page_has_the_keys_that_were_set(api: ApiClient, form: BatchForm, keys: set[str]) -> None:
    failure = api.simulator.builder.failure(1, CabForm(stored=False))
    api.simulator.publish()
    api.simulator.form = form
    assert set(api.batch(failure.key).json()) == keys


def test_a_wrong_top_gets_the_documented_body(api: ApiClient) -> None:
    answer = api.batch(api.simulator.builder.failure(0).key, top=10_000)
    assert answer.status_code == 400
    body = answer.json()
    assert (body["code"], body["source"]) == ("BadRequest", "AnalyticsAPI")
    assert body["innererror"]["code"] == "InvalidQueryParameters"
    assert body["innererror"]["data"] == ["top parameter cannot be more than 100"]


def test_a_missing_parameter_gets_400(api: ApiClient) -> None:
    answer = api.get("/v1.0/my/analytics/driver/cabdownloadbatch", applicationId="1")
    assert answer.status_code == 400
    assert answer.json()["innererror"]["data"] == ["failureHash parameter is required"]


def test_dates_narrow_the_rows(api: ApiClient) -> None:
    old = CabForm(stored=False, age=(timedelta(days=20), timedelta(days=25)))
    new = CabForm(stored=False, age=(timedelta(days=2), timedelta(days=5)))
    failure = api.simulator.builder.failure(5, old)
    recent = api.simulator.builder.cabs(failure, 3, new)
    api.simulator.publish()
    start = (min(cab.collected for cab in recent) - timedelta(days=1)).date().isoformat()
    rows = api.batch(failure.key, startDate=start).json()["Value"]
    assert {row["cabIdHash"] for row in rows} == {cab.cab_id_hash for cab in recent}


@pytest.mark.parametrize("host", BlobHost)
def test_one_cab_is_redirected_to(api: ApiClient, host: BlobHost) -> None:
    failure = api.simulator.builder.failure(1)
    api.simulator.publish()
    api.simulator.form = BatchForm(cab_host=host)
    (cab,) = api.simulator.world.cabs(failure.key)
    path = "/v1.0/my/analytics/driver/cabdownload"
    answer = api.get(path, applicationId=failure.key.application_id, cabIdHash=cab.cab_id_hash)
    assert answer.status_code == 302
    content = requests.get(answer.headers["Location"], timeout=TIMEOUT).content
    assert md5(content) == api.simulator.world.held[cab.cab_id_hash].md5
    if host is BlobHost.FRONT:  # Azurite does not mind it
        with_token = api.session.get(answer.headers["Location"], timeout=TIMEOUT)
        assert with_token.status_code == 403, "a token on a signed URL is a leak, and Azure refuses it too"
    assert api.get(path, applicationId="1", cabIdHash="2").status_code == 404
    assert api.get(path, applicationId="1").status_code == 400


def test_rows_without_a_url_and_cabs_that_are_gone(api: ApiClient, simulator: SimulatorThread) -> None:
    failure = simulator.builder.failure(1, CabForm(downloadable=False))
    simulator.builder.cabs(failure, 1, CabForm(has_url=False))
    simulator.builder.cabs(failure, 1, CabForm(stored=False))
    (withdrawn,) = simulator.builder.cabs(failure, 1)
    simulator.publish()
    simulator.withdraw(withdrawn)
    rows = api.rows(failure.key)
    assert [row.get("cabDownloadable") for row in rows].count(False) == 1
    with_url = [row["cabUrl"] for row in rows if "cabUrl" in row]
    assert len(with_url) == 2
    assert {requests.get(url, timeout=TIMEOUT).status_code for url in with_url} == {404}
