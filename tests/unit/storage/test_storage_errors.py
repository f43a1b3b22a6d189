"""What storage refuses must end in what helps: a later try, a person, or nothing."""

from collections.abc import Mapping
from datetime import timedelta
from types import SimpleNamespace

import pytest
from azure.core.exceptions import (
    AzureError,
    ClientAuthenticationError,
    HttpResponseError,
    ServiceRequestError,
    ServiceResponseError,
)

from shared.core.errors import AgainLater, BadAnswer, CabferryError, LeaseLost, NeedsPerson, Never
from shared.storage.refusals import storage_errors


def refusal(status: int, headers: Mapping[str, str] | None = None, message: str = "refused") -> HttpResponseError:
    """Make the SDK's error for an answer."""
    error = HttpResponseError(message)
    error.status_code = status
    error.response = SimpleNamespace(headers=dict(headers or {}))
    return error


def sorted_as(error: Exception) -> CabferryError:
    with pytest.raises(CabferryError) as caught, storage_errors("the table cabs"):
        raise error
    assert caught.value.__suppress_context__, "the SDK's text may hold a signature"
    return caught.value


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (refusal(500), AgainLater),
        (refusal(503, {"x-ms-error-code": "ServerBusy"}), AgainLater),
        (refusal(408), AgainLater),
        (refusal(200, message="<!DOCTYPE html>"), BadAnswer),
        (refusal(0, message="the answer ended early"), AgainLater),
        (refusal(429), AgainLater),
        (ServiceRequestError("connection refused"), AgainLater),
        (ServiceResponseError("no answer"), AgainLater),
        (AzureError("anything"), AgainLater),
        (refusal(401), NeedsPerson),
        (refusal(403, {"x-ms-error-code": "AuthorizationPermissionMismatch"}), NeedsPerson),
        (ClientAuthenticationError("no token"), NeedsPerson),
        (refusal(404, {"x-ms-error-code": "ContainerNotFound"}), NeedsPerson),
        (refusal(404, {"x-ms-error-code": "TableNotFound"}), NeedsPerson),
        (refusal(404, {"x-ms-error-code": "QueueNotFound"}), NeedsPerson),
        (refusal(400), Never),
        (refusal(409), Never),
        (refusal(413), Never),
    ],
)
def test_a_refusal_is_sorted_by_what_helps(error: Exception, kind: type[CabferryError]) -> None:
    told = sorted_as(error)
    assert type(told) is kind
    assert "the table cabs" in str(told)


def test_the_wait_that_storage_asks_for_is_carried_on() -> None:
    told = sorted_as(refusal(503, {"Retry-After": "7"}))
    assert isinstance(told, AgainLater)
    assert told.wait == timedelta(seconds=7)


def test_who_has_to_act_is_told_where_to_look() -> None:
    assert "role assignments" in str(sorted_as(refusal(403, {"x-ms-error-code": "AuthorizationFailure"})))
    assert "AuthorizationFailure" in str(sorted_as(refusal(403, {"x-ms-error-code": "AuthorizationFailure"})))


def test_no_secret_of_the_sdk_is_told() -> None:
    for error in (refusal(400, message="PUT https://a/b?sig=QZXJ"), ServiceRequestError("https://a/b?sig=QZXJ")):
        assert "QZXJ" not in str(sorted_as(error))


def test_an_error_of_ours_passes_through() -> None:
    with pytest.raises(LeaseLost), storage_errors("x"):
        raise LeaseLost("it is another's")
