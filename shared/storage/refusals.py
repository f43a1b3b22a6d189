"""Turn what storage refuses into errors of the tree; what a refusal means stands in shared/core/refusals.py."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from azure.core.exceptions import AzureError, ClientAuthenticationError, HttpResponseError

from shared.core.backoff import wait_asked
from shared.core.errors import AgainLater
from shared.core.redaction import excerpt
from shared.core.refusals import Refusal, Where, code_named, request_ids


class RefusedError(Exception):
    """Storage refused a request that did not go through the SDK."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(str(refusal))
        self.refusal = refusal


def refusal_of(error: HttpResponseError | RefusedError) -> Refusal:
    """Return the refusal in an error, of the SDK or of a plain request."""
    if isinstance(error, RefusedError):
        return error.refusal
    headers: Mapping[str, str] = getattr(error.response, "headers", {})
    own = getattr(error, "error_code", None)
    # An identity that could not be shown at all has no answer of storage.
    unknown = "NoIdentity" if isinstance(error, ClientAuthenticationError) else ""
    return Refusal(
        where=Where.STORAGE,
        status=error.status_code or 0,
        code=code_named(headers.get("x-ms-error-code")) or str(getattr(own, "value", own) or unknown),
        text=error.message,
        wait=wait_asked(headers, ""),
        ids=request_ids(headers.get),
    )


@contextmanager
def storage_errors(what: str) -> Iterator[None]:
    """Raise an error of the tree in place of the SDK's.

    Args:
        what: Names the request in errors, for example "the cab rows of failure X".

    Raises:
        NeedsPerson: 401, 403, or a container, queue or table that is not there.
        AgainLater: No connection, no answer in time, 408, 429, 5xx, even after the SDK's own tries.
        BadAnswer: A success that is not the one of this request.
        Never: The request itself is refused.
    """
    try:
        yield
    except (HttpResponseError, RefusedError) as error:
        raise refusal_of(error).as_error(what) from None
    except AzureError as error:
        raise AgainLater(f"{what}: storage does not answer: {excerpt(error.message)}") from None
