"""What Microsoft Entra, or the endpoint of a managed identity, says where it gives no token."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from azure.core.exceptions import ClientAuthenticationError, ServiceRequestError, ServiceResponseError
from azure.identity import CredentialUnavailableError

from shared.core.backoff import wait_asked
from shared.core.refusals import Refusal, Where, request_ids

if TYPE_CHECKING:
    from azure.core.exceptions import AzureError

_STATUS = re.compile(r"(?:HTTP (?:Error|status):|Token request error: \(\w*\)) (\d{3})")
# What DefaultAzureCredential tells of each way that it tried; the others are of a developer's machine.
_CHAIN, _OF_IDENTITY = (
    "DefaultAzureCredential failed",
    re.compile(r"^\s*(ManagedIdentityCredential: .*)$", re.MULTILINE),
)
_UNREACHED = re.compile(r"Failed to establish|timed out|Connection (?:aborted|reset)|Max retries", re.IGNORECASE)
_NUMBER = re.compile(r"AADSTS\d+")


def refusal_in(error: AzureError) -> Refusal:
    """Return what Entra or an identity's endpoint says; azure-identity raises all that it meets alike.

    Entra gives each refusal a number after AADSTS. An endpoint that did not answer or failed, and a page of something
    that stands between, say nothing of the identity. The status stands in the error or, where the MSAL library below
    met it, only in the text of what it raised; where the answer was no JSON, nowhere.
    """
    status, code, wait, ids = 0, "", None, ""
    link: BaseException | None = error if isinstance(error, ClientAuthenticationError) else None
    while link is not None:
        if isinstance(link, (ServiceRequestError, ServiceResponseError)):
            status, code = 0, ""
            break
        found = _STATUS.search(str(link))
        status = max(status, getattr(link, "status_code", None) or (int(found[1]) if found else 0))
        # Of a chain there are only texts: where nobody was out of reach, there is no identity.
        has_none = str(link).startswith(_CHAIN) and not _UNREACHED.search(str(link))
        if number := _NUMBER.search(str(link)):
            code = number[0]
        elif has_none or isinstance(link, CredentialUnavailableError):
            code = code or "NoIdentity"
        headers = getattr(getattr(link, "response", None), "headers", None) or {}
        wait, ids = wait or wait_asked(headers, ""), ids or request_ids(headers.get)
        link = link.__cause__ or link.__context__
    return Refusal(Where.TOKEN, status, code, _said(error), wait, ids)


def _said(error: AzureError) -> str:
    """Return what an error says; of a chain of credentials, what the managed identity said."""
    found = _OF_IDENTITY.search(error.message)
    return found[1] if found else error.message
