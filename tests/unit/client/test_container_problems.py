"""What storage refuses is told to people in storage's own words."""

import pytest
from azure.core.exceptions import HttpResponseError
from azure.storage.blob import StorageErrorCode
from cabferry.container import open_container, told
from cabferry.problems import ProblemError


@pytest.mark.parametrize("code", [StorageErrorCode.AUTHORIZATION_FAILURE, "AuthorizationFailure"])
def test_a_code_is_told_as_storage_gave_it(code: str) -> None:
    error = HttpResponseError("refused")
    error.status_code, vars(error)["error_code"] = 403, code
    with pytest.raises(ProblemError, match=r"^it failed: storage answered AuthorizationFailure; "), told("it failed"):
        raise error


@pytest.mark.parametrize("url", ["http://127.0.0.1:10000/account/failure-cabs", "http://elsewhere/c", "https://a.b"])
def test_what_nobody_can_sign_in_to_is_told_with_what_to_do(url: str) -> None:
    """The first is what the dashboard of the playground names."""
    with pytest.raises(ProblemError, match=r"AZURE_STORAGE_CONNECTION_STRING|CABFERRY_CONTAINER"):
        open_container(url)
