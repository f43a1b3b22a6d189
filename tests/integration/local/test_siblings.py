"""The analytics of desktop and Store applications over HTTP, as documented and as sampled."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import requests

from local.simulator.builder import CabForm
from local.simulator.catalogue import Failure, Family
from local.simulator.faults import Call
from local.simulator.scenario import SiblingForm

from .api_client import TIMEOUT, ApiClient

FAMILIES = (Family.DESKTOP, Family.APP)


def get(api: ApiClient, family: Family, path: str, **query: str) -> requests.Response:
    base = "/v1.0/my/analytics/" + ("desktop/" if family is Family.DESKTOP else "")
    return api.get(base + path, **query)


def followed(api: ApiClient, first: requests.Response) -> list[dict[str, Any]]:
    """Follow the links as they are, from `/v1.0/my/analytics/` on."""
    body, rows = first.json(), list(first.json()["Value"])
    while link := body.get("@nextLink"):
        body = api.get("/v1.0/my/analytics/" + link).json()
        rows += body["Value"]
    return rows


def made(api: ApiClient, family: Family, cabs: int, form: CabForm | None = None) -> Failure:
    failure = api.simulator.builder.application_failure(family, cabs, form or CabForm(stored=False), 3)
    api.simulator.publish()
    return failure


@pytest.mark.parametrize("family", FAMILIES)
def test_every_cab_and_every_crash_without_one_is_listed_once(api: ApiClient, family: Family) -> None:
    failure = made(api, family, 25)
    api.simulator.siblings = SiblingForm(largest_page=10)
    key = "cabIdHash" if family is Family.DESKTOP else "cabId"
    ids = {"applicationId": failure.key.application_id, "failureHash": failure.key.failure_hash}
    rows = followed(api, get(api, family, "failuredetails", **ids))
    listed = [row[key] for row in rows if row[key]]
    assert sorted(listed) == sorted(cab.cab_id_hash for cab in api.simulator.world.cabs(failure.key))
    assert len(rows) == 25 + 3
    assert api.simulator.ledger.answers(Call.FAILURE_DETAILS, 200) == 3


@pytest.mark.parametrize("family", FAMILIES)
def test_hits_name_the_failure_with_counts_that_are_fractions(api: ApiClient, family: Family) -> None:
    failure = made(api, family, 25)
    api.simulator.siblings = SiblingForm(largest_page=3)
    since = f"{datetime.now(UTC) - timedelta(days=30):%m/%d/%Y}"
    until = f"{datetime.now(UTC):%m/%d/%Y}"
    first = get(api, family, "failurehits", applicationId=failure.key.application_id, startDate=since, endDate=until)
    rows = followed(api, first)
    assert len(rows) > 3
    assert {(row["applicationId"], row["failureHash"]) for row in rows} == {
        (failure.key.application_id, failure.key.failure_hash)
    }
    assert any(row["eventCount"] % 1 for row in rows)
    # The server itself breaks a parameter of desktop links: they are to be followed as they are.
    assert ("endDate2" in first.json()["@nextLink"]) == (family is Family.DESKTOP)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_list_of_one_page_has_no_link_key(api: ApiClient, family: Family) -> None:
    failure = made(api, family, 1)
    ids = {"applicationId": failure.key.application_id, "failureHash": failure.key.failure_hash}
    assert "@nextLink" not in get(api, family, "failuredetails", **ids).json()


@pytest.mark.parametrize("family", FAMILIES)
def test_a_cab_is_a_redirect_to_its_bytes_and_one_that_may_not_be_downloaded_is_refused(
    api: ApiClient, family: Family
) -> None:
    failure = made(api, family, 1, CabForm())
    (refused,) = api.simulator.builder.cabs(failure, 1, CabForm(downloadable=False))
    api.simulator.publish()
    cab = next(each for each in api.simulator.world.cabs(failure.key) if each.downloadable)
    key = "cabIdHash" if family is Family.DESKTOP else "cabId"
    answer = get(api, family, "cabdownload", applicationId=cab.failure.application_id, **{key: cab.cab_id_hash})
    assert answer.status_code == 302
    held = api.simulator.world.held[cab.cab_id_hash]
    assert len(requests.get(answer.headers["Location"], timeout=TIMEOUT).content) == held.length
    no = get(api, family, "cabdownload", applicationId=cab.failure.application_id, **{key: refused.cab_id_hash})
    assert no.status_code == 403
