"""Turn what storage refuses into errors of the tree, sorted by what helps."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from http import HTTPStatus

from azure.core.exceptions import AzureError, ClientAuthenticationError, HttpResponseError

from shared.core.backoff import wait_asked
from shared.core.errors import AgainLater, BadAnswer, CabferryError, NeedsPerson, Never
from shared.core.redaction import excerpt

_BUSY = {HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS}
_NOT_DEPLOYED = {"ContainerNotFound", "QueueNotFound", "TableNotFound"}


@dataclass(frozen=True, slots=True)
class Refusal:
    """An answer of storage that is not a success.

    Args:
        status: Its HTTP status; 0 where there was none.
        code: The service's own code, for example BlobAlreadyExists; empty where it gave none.
        text: What else it said, not yet redacted.
        wait: How long it asked to be left alone.
        is_identity: Whether no identity could be shown at all.
    """

    status: int
    code: str
    text: str
    wait: timedelta | None = None
    is_identity: bool = False

    @classmethod
    def of(cls, error: HttpResponseError) -> "Refusal":
        """Return the refusal in an error of the SDK."""
        headers: Mapping[str, str] = getattr(error.response, "headers", {})
        own = getattr(error, "error_code", None)
        return cls(
            status=error.status_code or 0,
            code=headers.get("x-ms-error-code") or str(getattr(own, "value", own) or ""),
            text=error.message,
            wait=wait_asked(headers, ""),
            is_identity=isinstance(error, ClientAuthenticationError),
        )

    def __str__(self) -> str:
        return f"{self.status} {self.code}"

    def as_error(self, what: str) -> CabferryError:
        """Return the error of the tree.

        Args:
            what: Names the request.
        """
        message = f"{what}: storage answered {self}"
        if self.is_identity or self.status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
            return NeedsPerson(
                f"{message}. Check CAB_STORAGE, the storage account's network rules, and the role assignments of the "
                "app's identity (docs/deploy.md lists them)."
            )
        if self.code in _NOT_DEPLOYED:
            return NeedsPerson(f"{message}. The deployment creates it (docs/deploy.md).")
        if not self.status:
            return AgainLater(f"{what}: the answer of storage broke off: {excerpt(self.text)}")
        if self.status >= HTTPStatus.INTERNAL_SERVER_ERROR or self.status in _BUSY:
            return AgainLater(message, self.wait)
        if self.status < HTTPStatus.MULTIPLE_CHOICES:
            # A page of something that stands between, as a rule.
            return BadAnswer(f"{message}, and not what was asked for: {excerpt(self.text)}")
        return Never(f"{message}: {excerpt(self.text)}")


class RefusedError(Exception):
    """Storage refused a request that did not go through the SDK."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(str(refusal))
        self.refusal = refusal


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
    except HttpResponseError as error:
        raise Refusal.of(error).as_error(what) from None
    except AzureError as error:
        raise AgainLater(f"{what}: storage does not answer: {excerpt(error.message)}") from None
    except RefusedError as error:
        raise error.refusal.as_error(what) from None
