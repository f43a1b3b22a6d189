"""What a refusal means: one table, for every service and every way of asking it.

A refusal is an answer that is not a success. It is sorted by who refuses, its HTTP status, and the code that the
service itself gives, never by the status alone: storage tells of a source that it cannot read with 403,
404 or 500, and the gateway before the Dev Center asks for time with 403 as well as with 429.

Facts: https://learn.microsoft.com/rest/api/storageservices/common-rest-api-error-codes, docs/api.md for the Dev Center,
https://learn.microsoft.com/entra/identity-platform/reference-error-codes for the token endpoint.
"""

from __future__ import annotations

import re
from enum import StrEnum
from fnmatch import fnmatchcase
from functools import cached_property
from typing import TYPE_CHECKING

from shared.core.backoff import wait_asked
from shared.core.errors import (
    AgainLater,
    BadAnswer,
    CabferryError,
    CabUnavailable,
    FreshUrl,
    NeedsPerson,
    Never,
)
from shared.core.redaction import excerpt
from shared.core.shape import said_in
from shared.core.values import Immutable

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import timedelta


class Where(StrEnum):
    """Who refuses; a row and a tagged blob are places of storage, where some answers mean more."""

    STORAGE = "storage"
    ROW = "storage, of a row"
    TAGGED_BLOB = "storage, of a blob with index tags"
    DEVCENTER = "the Dev Center"
    TOKEN = "the token endpoint"  # noqa: S105 - a name
    CAB_DOWNLOAD = "the Dev Center, of one cab"
    CAB_SOURCE = "the cab's source"
    REPORT = "the report's storage"
    REPORT_BY_TOKEN = "the report's storage, of a token"  # noqa: S105 - a name


class Meaning(StrEnum):
    """What a refusal means."""

    BUSY = "it asks for time"
    FAILING = "it fails"
    ODD = "it is no answer of this service, or not to this request"
    UNKNOWN_CALLER = "it does not know who asks"
    NO_PERMISSION = "who asks has not the role, or a SAS not the permission"
    NETWORK = "it does not let the app's network in"
    KEYS_OFF = "it takes no keys"
    DISABLED = "the account is disabled"
    NOT_DEPLOYED = "the container, queue or table is not there"
    EXISTS = "what is to be made is there"
    CHANGED = "it is another version by now"
    MISSING = "it is not there"
    TAGS_REFUSED = "the index tags may be the reason"
    SOURCE_UNREAD = "storage cannot read the source of a copy, or not in this way"
    SAS_REFUSED = "the SAS of a cabUrl works no more"
    SOURCE_GONE = "the source of a cab is gone"
    NOT_DOWNLOADABLE = "Microsoft lists the cab, but does not let it be downloaded"
    STALE_LOCATION = "the location of a report works no more"
    WRONG_REQUEST = "the request is refused"


# What helps. What is not named here is decided by who asked, and helps nobody else.
HELPS: dict[Meaning, type[CabferryError]] = {
    Meaning.BUSY: AgainLater,
    Meaning.FAILING: AgainLater,
    Meaning.STALE_LOCATION: FreshUrl,
    Meaning.ODD: BadAnswer,
    Meaning.UNKNOWN_CALLER: NeedsPerson,
    Meaning.NO_PERMISSION: NeedsPerson,
    Meaning.NETWORK: NeedsPerson,
    Meaning.KEYS_OFF: NeedsPerson,
    Meaning.DISABLED: NeedsPerson,
    Meaning.NOT_DEPLOYED: NeedsPerson,
    Meaning.SAS_REFUSED: FreshUrl,
    Meaning.SOURCE_GONE: CabUnavailable,
    Meaning.NOT_DOWNLOADABLE: CabUnavailable,
}


class Rule(Immutable, frozen=True):
    """A line of the table.

    Args:
        where: Who refuses; None for everyone.
        status: HTTP statuses between spaces, 5xx for all of a kind, * for any, 0 for an answer that broke off.
        code: Codes of the service between spaces, * for any text in them; `(wait)` for an answer that asks for a wait.
        meaning: What that means.
        to_do: What a person should do, where one is needed.
        outage: As every error has it.
    """

    where: Where | None
    status: str
    code: str
    meaning: Meaning
    to_do: str = ""
    outage: str = ""


_CHECK_STORAGE = (
    "Check CAB_STORAGE, the storage account's network rules, and the role assignments of the app's identity "
    "(docs/deploy.md lists them)."
)
_S, _D, _T, _C = Where.STORAGE, Where.DEVCENTER, Where.TOKEN, Where.CAB_SOURCE
_R, _RT = Where.REPORT, Where.REPORT_BY_TOKEN
# Read from above: the first line that fits counts. A line of storage holds for its rows and blobs too.
# fmt: off
TABLE = (
    # who,               status,        code,                               means
    Rule(Where.TAGGED_BLOB, "*",        "AuthorizationPermissionMismatch *Tag* "
         "FeatureNotYetSupportedForHierarchicalNamespaceAccounts",          Meaning.TAGS_REFUSED),
    Rule(_S,             "*",           "*CopySource* *SourceBlob*",        Meaning.SOURCE_UNREAD),
    Rule(_S,             "*",           "ContainerNotFound QueueNotFound TableNotFound", Meaning.NOT_DEPLOYED,
         "The deployment creates it (docs/deploy.md)."),
    Rule(_S,             "*",           "*BeingDeleted *BeingCreated ServerBusy", Meaning.BUSY),
    Rule(_S,             "*",           "BlobAlreadyExists EntityAlreadyExists", Meaning.EXISTS),
    Rule(_S,             "*",           "ConditionNotMet UpdateConditionNotSatisfied", Meaning.CHANGED),
    Rule(_S,             "*",           "AuthorizationPermissionMismatch AuthorizationResourceTypeMismatch "
         "AuthorizationServiceMismatch InsufficientAccountPermissions",     Meaning.NO_PERMISSION, _CHECK_STORAGE),
    Rule(_S,             "*",           "AuthorizationFailure AuthorizationSourceIPMismatch IpAuthorizationFailure",
         Meaning.NETWORK, _CHECK_STORAGE),
    Rule(_S,             "*",           "KeyBasedAuthenticationNotPermitted", Meaning.KEYS_OFF, _CHECK_STORAGE),
    Rule(_S,             "*",           "AccountIsDisabled",                Meaning.DISABLED, _CHECK_STORAGE),
    Rule(_S,             "*",           "NoIdentity InvalidAuthenticationInfo", Meaning.UNKNOWN_CALLER, _CHECK_STORAGE),
    Rule(_S,             "401 403",     "*",                                Meaning.UNKNOWN_CALLER, _CHECK_STORAGE),
    Rule(Where.ROW,      "409",         "*",                                Meaning.EXISTS),
    Rule(Where.ROW,      "412",         "*",                                Meaning.CHANGED),
    Rule(_S,             "404",         "*",                                Meaning.MISSING),

    Rule(_D,             "401",         "*",                                Meaning.UNKNOWN_CALLER,
         "Check that the Entra application of DEVCENTER_CLIENT_ID is added to the Partner Center account.", "401"),
    # Numbers that Entra describes as passing: https://learn.microsoft.com/entra/identity-platform/reference-error-codes
    Rule(_T,             "*",           "AADSTS90006 AADSTS90024 AADSTS90033 AADSTS50196", Meaning.FAILING,
         outage="token"),
    Rule(_T,             "408 429 5xx", "*",                                Meaning.BUSY, outage="token"),
    Rule(_T,             "400 401 403", "*",                                Meaning.UNKNOWN_CALLER, outage="token"),
    Rule(_T,             "*",           "AADSTS* NoIdentity",               Meaning.UNKNOWN_CALLER, outage="token"),
    Rule(_T,             "*",           "*",                                Meaning.FAILING, outage="token"),

    Rule(None,           "408 429",     "*",                                Meaning.BUSY),
    Rule(None,           "4xx",         "(wait) OutOfQuota *Throttl*",      Meaning.BUSY),
    Rule(None,           "0 5xx",       "*",                                Meaning.FAILING),

    # The lists of the same application were given, so this is about the cab.
    Rule(Where.CAB_DOWNLOAD, "403",     "*",                                Meaning.NOT_DOWNLOADABLE),
    Rule(Where.CAB_DOWNLOAD, "404 410", "*",                                Meaning.SOURCE_GONE),
    Rule(_D,             "403",         "*",                                Meaning.NO_PERMISSION,
         "Give the Entra application the Manager role in Partner Center.", "403"),
    Rule(_D,             "404 410",     "*",                                Meaning.MISSING),
    Rule(_D,             "400",         "*",                                Meaning.WRONG_REQUEST),
    Rule(_C,             "401 403",     "*",                                Meaning.SAS_REFUSED),
    Rule(_C,             "404 410",     "*",                                Meaning.SOURCE_GONE),
    Rule(_R,             "401 403 404", "*",                                Meaning.STALE_LOCATION,
         "The next check gets a fresh location."),
    Rule(_RT,            "401 403 404", "*",                                Meaning.NO_PERMISSION,
         "Its location has no SAS, and is asked with a storage token: check DEVCENTER_STORAGE_TENANT_ID, and that "
         "DEVCENTER_CLIENT_ID may read reports there."),
    Rule(_S,             "4xx",         "*",                                Meaning.WRONG_REQUEST),
    Rule(None,           "*",           "*",                                Meaning.ODD),
)
# fmt: on
_OURS = {Where.STORAGE, Where.ROW, Where.TAGGED_BLOB, Where.TOKEN}
_WIDER = {Where.ROW: Where.STORAGE, Where.TAGGED_BLOB: Where.STORAGE, Where.CAB_DOWNLOAD: Where.DEVCENTER}
_QUOTA = re.compile(r"out of call volume quota|quota (?:\w+ )*exceeded|rate limit|too many requests", re.IGNORECASE)
_CODE_IN_JSON = re.compile(r'"code" *: *"(?:\d+:)?(\w{1,100})"')
_CODE = re.compile(r"\w{1,100}", re.ASCII)
_IDS = ("x-ms-request-id", "x-ms-correlation-id", "x-ms-client-request-id", "ms-requestid", "ms-correlationid")
_ID = re.compile(r"[\w.:|-]{1,80}")


class Refusal(Immutable, frozen=True, dict=True):
    """An answer that is not a success.

    Args:
        where: Who refuses.
        status: Its HTTP status; 0 where the answer broke off.
        code: The service's own code, for example BlobAlreadyExists; empty where it gave none.
        text: What else it said, not yet redacted.
        wait: How long it asked to be left alone.
        ids: What its support finds the request by.
    """

    where: Where
    status: int
    code: str = ""
    text: str = ""
    wait: timedelta | None = None
    ids: str = ""

    @classmethod
    def of(cls, where: Where, status: int, header: Callable[[str], str | None], text: str) -> Refusal:
        """Read an answer.

        Args:
            where: Who refuses.
            status: Its HTTP status.
            header: Returns a header of the answer, in whatever case it came.
            text: Its body.
        """
        quota = "OutOfQuota" if where is not Where.STORAGE and _QUOTA.search(text) else ""
        code = code_named(header("x-ms-error-code")) or quota or code_in(text)
        wait = wait_asked({"Retry-After": header("Retry-After") or ""}, text)
        return cls(where, status, code, text, wait, request_ids(header))

    def __str__(self) -> str:
        return f"{self.status} {self.code}".rstrip()

    @cached_property
    def meaning(self) -> Meaning:
        """Return what it means."""
        return self._rule.meaning

    @property
    def needs_person(self) -> bool:
        """Tell whether only a person can mend it."""
        return HELPS.get(self.meaning) is NeedsPerson

    def means(self, where: Where) -> Meaning:
        """Return what it means at one place of the service."""
        return rule_for(where, self.status, self.code, is_wait=self.wait is not None).meaning

    def as_error(self, what: str) -> CabferryError:
        """Return the error of the tree."""
        helps, rule = HELPS.get(self.meaning, Never), self._rule
        # What a busy or failing service of our own says besides its code helps nobody.
        is_told = self.where is not Where.STORAGE or not (self.status and helps is AgainLater)
        seen = f": {self._said.removesuffix('.')}" if is_told and self.text and self.code != self.text else ""
        told = f"{what}: {self.where} answered {self} ({self.meaning}){seen}{self.ids}"
        message = f"{told}. {rule.to_do}" if rule.to_do else told
        if issubclass(helps, AgainLater):
            return helps(message, self.wait, outage=rule.outage)
        return helps(message, outage=rule.outage)

    @property
    def _said(self) -> str:
        """Return what else it said: a sentence of our own services whole, since an SDK took it from its answer."""
        is_sentence = self.where in _OURS and self.text[:1] not in "<{["
        return excerpt(self.text) if is_sentence else said_in(self.text.encode())

    @cached_property
    def _rule(self) -> Rule:
        return rule_for(self.where, self.status, self.code, is_wait=self.wait is not None)


def rule_for(where: Where, status: int, code: str, *, is_wait: bool = False) -> Rule:
    """Return the line of the table that holds."""
    places, codes = {None, where, _WIDER.get(where, where)}, (code, "(wait)") if is_wait else (code,)
    for rule in TABLE:
        if rule.where in places and _fits(rule.status, str(status)) and any(_fits(rule.code, each) for each in codes):
            return rule
    raise AssertionError("the last line fits everything")


def code_named(header: str | None) -> str:
    """Return the code that a header names; empty where it is none, but whatever a server may quote."""
    return header if header and _CODE.fullmatch(header) else ""


def code_in(text: str) -> str:
    """Return the service's own code in the JSON of an answer; empty for none."""
    found = _CODE_IN_JSON.search(text)
    return found[1] if found else ""


def request_ids(header: Callable[[str], str | None]) -> str:
    """Return what the support of a service finds a request by, as it ends a message; empty where it told none.

    Args:
        header: Returns a header of the answer, in whatever case it came.
    """
    told = [f"{name} {value}" for name in _IDS if (value := header(name)) and _ID.fullmatch(value)]
    return f" ({', '.join(told)})" if told else ""


def _fits(patterns: str, text: str) -> bool:
    return any(fnmatchcase(text, each.replace("xx", "??")) for each in patterns.split(" "))
