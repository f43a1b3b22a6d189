"""The cab container: signing in, and what a refusal means. No URL's query and no key is ever part of a message."""

from __future__ import annotations

import logging
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from azure.core.exceptions import (
    AzureError,
    ClientAuthenticationError,
    HttpResponseError,
    ResourceNotFoundError,
)
from azure.storage.blob import ContainerClient, ExponentialRetry

from .identity import Identity
from .problems import Exit, ProblemError

if TYPE_CHECKING:
    from collections.abc import Iterator

VARIABLE = "CABFERRY_CONTAINER"
_CONNECTION = "AZURE_STORAGE_CONNECTION_STRING"
_HOW = f"set {VARIABLE} (or --container) to the container's URL, such as https://ACCOUNT.blob.core.windows.net/failure-cabs"
_FORBIDDEN = 403
_LOOPBACK = {"127.0.0.1", "localhost", "::1"}


def open_container(named: str | None) -> ContainerClient:
    """Return a client of the container.

    Args:
        named: Its URL, which may carry a SAS and is signed in to otherwise; or its name alone, in the account of
            AZURE_STORAGE_CONNECTION_STRING. None takes CABFERRY_CONTAINER.

    Raises:
        ProblemError: Nothing names a container, or what does is no URL of one.
    """
    text = named or os.environ.get(VARIABLE, "")
    if not text:
        raise ProblemError(Exit.WRONG_USE, f"no container is named: {_HOW}")
    retry = ExponentialRetry(initial_backoff=1, increment_base=2, retry_total=4)
    if "/" not in text:
        return _by_connection_string(text, retry)
    url = urlsplit(text)
    is_safe = url.scheme == "https" or (url.scheme == "http" and url.hostname in _LOOPBACK)
    if not is_safe or not url.path.strip("/"):
        raise ProblemError(Exit.WRONG_USE, f"that is not the https URL of a container: {_HOW}")
    has_sas = "sig=" in url.query
    if url.scheme == "http" and not has_sas:
        advice = f"name the container alone, and its account by {_CONNECTION}"
        raise ProblemError(Exit.WRONG_USE, f"nobody signs in without https: {advice}")
    if has_sas and named:
        logging.getLogger("cabferry").warning(
            "a SAS in an argument stays in the history of your shell: put the URL into %s", VARIABLE
        )
    return ContainerClient.from_container_url(text, credential=None if has_sas else Identity(), retry_policy=retry)


def _by_connection_string(name: str, retry: ExponentialRetry) -> ContainerClient:
    connection = os.environ.get(_CONNECTION, "")
    if not connection:
        raise ProblemError(Exit.WRONG_USE, f"{_CONNECTION} is not set, and a name alone does not say where: {_HOW}")
    try:
        return ContainerClient.from_connection_string(connection, name, retry_policy=retry)
    except ValueError:
        raise ProblemError(Exit.WRONG_USE, f"{_CONNECTION} is no connection string of a storage account") from None


@contextmanager
def told(what: str) -> Iterator[None]:
    """Turn what the SDK raises into a problem.

    Args:
        what: What was tried, as in "the catalog could not be read".
    """
    try:
        yield
    except ClientAuthenticationError as error:
        advice = "sign in again (`az login`), or ask for a new SAS"
        raise ProblemError(Exit.NOT_ALLOWED, f"{what}: {_code(error)}; {advice}") from None
    except ResourceNotFoundError as error:
        raise ProblemError(Exit.NOTHING_FOUND, f"{what}: {_code(error)}, it is not there (any more)") from None
    except HttpResponseError as error:
        if error.status_code == _FORBIDDEN:
            advice = "you need the role Storage Blob Data Reader (or Cabferry cab reader) on the container"
            advice += "; a SAS may have run out"
            raise ProblemError(Exit.NOT_ALLOWED, f"{what}: {_code(error)}; {advice}") from None
        raise ProblemError(Exit.UNREACHABLE, f"{what}: {_code(error)}") from None
    except AzureError as error:
        # Its text may hold the whole URL, with what signs it.
        raise ProblemError(Exit.UNREACHABLE, f"{what}: {type(error).__name__}; is the network up?") from None


def _code(error: HttpResponseError) -> str:
    code = getattr(error, "error_code", None)
    # The SDK's enumeration says its own name in a text.
    return f"storage answered {getattr(code, 'value', code) or error.status_code or type(error).__name__}"
