"""What storage refuses is told to people in storage's own words."""

import pytest
from azure.core.exceptions import HttpResponseError
from azure.storage.blob import StorageErrorCode
from cabferry.container import told
from cabferry.problems import ProblemError


@pytest.mark.parametrize("code", [StorageErrorCode.AUTHORIZATION_FAILURE, "AuthorizationFailure"])
def test_a_code_is_told_as_storage_gave_it(code: str) -> None:
    error = HttpResponseError("refused")
    error.status_code, vars(error)["error_code"] = 403, code
    with pytest.raises(ProblemError, match=r"^it failed: storage answered AuthorizationFailure; "), told("it failed"):
        raise error
