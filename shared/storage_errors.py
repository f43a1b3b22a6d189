"""Turn what the storage SDKs raise into errors of the tree, sorted by what helps."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http import HTTPStatus

from azure.core.exceptions import AzureError, ClientAuthenticationError, HttpResponseError

from shared.errors import AgainLater, CabferryError, NeedsPerson, Never
from shared.redaction import excerpt
from shared.waits import wait_asked


@contextmanager
def storage_errors(what: str) -> Iterator[None]:
    """Raise an error of the tree in place of the SDK's.

    Args:
        what: Names the request in errors, for example "the cab rows of failure X".

    Raises:
        NeedsPerson: 401, 403, or a container, queue or table that is not there.
        AgainLater: No connection, no answer in time, 408, 429, 5xx, even after the SDK's own tries.
        Never: The request itself is refused.
    """
    try:
        yield
    except CabferryError:
        raise
    except HttpResponseError as error:
        raise refused(error, what) from None
    except AzureError as error:
        raise AgainLater(f"{what}: storage does not answer: {excerpt(error.message)}") from None


def refused(error: HttpResponseError, what: str) -> CabferryError:
    """Return the error of the tree for an answer that storage refused.

    Args:
        error: What the SDK raised.
        what: Names the request.
    """
    status, code = error.status_code or 0, error_code(error)
    message = f"{what}: storage answered {status} {code}"
    if isinstance(error, ClientAuthenticationError) or status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
        return NeedsPerson(
            f"{message}. Check CAB_STORAGE, the storage account's network rules, and the role assignments of the app's "
            "identity (docs/deploy.md lists them)."
        )
    if code in {"ContainerNotFound", "QueueNotFound", "TableNotFound"}:
        return NeedsPerson(f"{message}. The deployment creates it (docs/deploy.md).")
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR or status in {
        HTTPStatus.REQUEST_TIMEOUT,
        HTTPStatus.TOO_MANY_REQUESTS,
        0,
    }:
        return AgainLater(message, wait_asked(_headers(error), ""))
    return Never(f"{message}: {excerpt(error.message)}")


def error_code(error: HttpResponseError) -> str:
    """Return the service's own code for a refusal, for example BlobAlreadyExists; empty where it gave none."""
    if code := _headers(error).get("x-ms-error-code"):
        return code
    code = getattr(error, "error_code", None)
    return str(getattr(code, "value", code) or "")


def _headers(error: HttpResponseError) -> Mapping[str, str]:
    return getattr(error.response, "headers", {})
