"""Ask for a token, for the reports and for a cab batch once, and tell what a person should do about each answer."""

from __future__ import annotations

import base64
import binascii
import re
from copy import replace
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import msgspec

from shared.core.errors import AgainLater, AgainNow, CabferryError, NeedsPerson
from shared.core.failure import Failure, Window
from shared.core.json_text import JsonError, decoded
from shared.core.redaction import excerpt
from shared.core.refusals import Meaning, Where
from shared.core.shape import said_in
from shared.core.values import Immutable, hiding
from shared.devcenter.client import DevCenter
from shared.devcenter.driver import batch_url, page_in
from shared.devcenter.families import APPLICATIONS
from shared.devcenter.report_answers import runs_in, schedules_in
from shared.identity.credentials import devcenter_tokens
from shared.preflight.probing import ProbeFailed, unreachable
from shared.web.http_source import REDIRECTS, HttpSource, body_of, refusal_in

if TYPE_CHECKING:
    from shared.core.settings import DevCenterAccess

# A failure that nobody has: the call must be there, and hold nothing.
_MADE_UP = Failure("00000000000000000", "00000000-0000-0000-0000-000000000000")
_REPORTS_SHOWN = 3
_AADSTS = re.compile(r"AADSTS(\d+)")
_NO_APPLICATION = (
    "The tenant of DEVCENTER_TENANT_ID has no application with the id DEVCENTER_CLIENT_ID: correct one of the two."
)
_NO_TENANT = "Set DEVCENTER_TENANT_ID to the tenant of the application: what it holds is no tenant's id."
_NOT_FEDERATED = (
    "Give the Entra application of DEVCENTER_CLIENT_ID a federated credential whose subject is the principal id of the "
    "managed identity (docs/deploy.md, After it)."
)
# https://learn.microsoft.com/entra/identity-platform/reference-error-codes
_ENTRA = {
    "7000215": "Set DEVCENTER_CLIENT_SECRET to the value (not the id) of a secret of the application.",
    "7000222": "The secret has expired: make a new one for the application, and set DEVCENTER_CLIENT_SECRET to it.",
    "90002": "Set DEVCENTER_TENANT_ID to the tenant of the application: there is none of the id that it holds.",
    "700016": _NO_APPLICATION,
    **dict.fromkeys(("900021", "900023"), _NO_TENANT),
    **dict.fromkeys(("700027", "70021", "700211", "700212", "700213"), _NOT_FEDERATED),
    "500011": "The tenant does not know the Dev Center's API: check that DEVCENTER_TENANT_ID is one that Partner "
    "Center names.",
    "53003": "A Conditional Access policy of the tenant blocks the application: exempt it.",
}
_GONE = (
    "The endpoint is gone, or never was there: check DEVCENTER_BASE_URL. Where it is the default, Microsoft does not "
    "serve this call to this account any more (docs/api.md): ask its support."
)
_A_PAGE = (
    "A page or a redirect answers in place of the API: check DEVCENTER_BASE_URL, and whether a proxy or firewall "
    "stands between. Where neither is the reason, the endpoint is gone (docs/api.md)."
)
_UNKNOWN = "This answer is not known: compare it with docs/api.md, and check DEVCENTER_BASE_URL."
_ADVICE = {
    Meaning.UNKNOWN_CALLER: "Add {application} to the Partner Center account (Account settings, User management, "
    "Microsoft Entra applications), and check that DEVCENTER_TENANT_ID is a tenant of that account.",
    Meaning.NO_PERMISSION: "Give {application} the role Manager in Partner Center.",
    Meaning.MISSING: _GONE,
    Meaning.BUSY: "Ask again in some minutes: the Dev Center wants to be left alone.",
    Meaning.FAILING: "Ask again in some minutes. Where it stays so, the Dev Center itself fails: ask its support.",
}


class DevCenterProbes:
    """Ask the Dev Center as the app does, but past its circuit breaker and with a token of its own.

    Args:
        access: How the app signs in.
        report_ids: The setting REPORT_IDS.
        lookback: The setting REPORT_LOOKBACK_DAYS.
    """

    def __init__(self, access: DevCenterAccess, report_ids: tuple[str, ...], lookback: timedelta) -> None:
        self._access, self._report_ids, self._lookback = access, report_ids, lookback
        self._tokens, self._source = devcenter_tokens(access), HttpSource(4)
        self._devcenter = DevCenter(access.base_url, self._tokens, self._source)

    def close(self) -> None:
        """Close the connections that are kept open."""
        self._source.close()

    def token(self) -> str:
        """Ask for a token, and tell for which tenant and application it is."""
        try:
            token = self._tokens.current()
        except NeedsPerson as error:
            raise ProbeFailed(str(error), self._sign_in_advice(str(error))) from None
        except AgainLater as error:
            raise ProbeFailed(
                str(error),
                "Check that the app's network reaches the token endpoint (login.microsoftonline.com, or what "
                "AZURE_AUTHORITY_HOST names; for a managed identity its own): DNS, firewall, proxy.",
            ) from None
        return _told_of(token)

    def reportdata(self) -> str:
        """List the schedules, and the runs of the first reports."""
        listed = schedules_in(self._good(self._asked(self._devcenter.schedules_url)), "the list of report schedules")
        schedules = listed.items
        active = [each.report_id for each in schedules if each.is_active]
        unknown = [each for each in self._report_ids if each not in {schedule.report_id for schedule in schedules}]
        told = "; ".join([f"{len(schedules)} schedules, {len(active)} of them active", *listed.odd[:1]])
        if unknown:
            raise ProbeFailed(
                f"{told}; none is {unknown[0]}",
                "REPORT_IDS names a report that this account does not list: correct it, or leave it empty.",
            )
        for report_id in (self._report_ids or active)[:_REPORTS_SHOWN]:
            told += f"; {self._runs(report_id)}"
        return told if self._report_ids or active else f"{told}: only POST /api/pulls pulls anything"

    def cabdownloadbatch(self) -> str:
        """Ask for the cabs of a failure that nobody has."""
        today = datetime.now(UTC).date()
        url = batch_url(self._devcenter, _MADE_UP, Window(today, today), 0)
        answer = self._asked(url)
        if answer.status in {HTTPStatus.BAD_REQUEST, HTTPStatus.NOT_FOUND} and answer.is_of_the_api:
            return f"{answer.status} for a made-up failure, in the API's own words: the call is there"
        rows = page_in(self._good(answer), "the cab batch of a made-up failure")
        return f"a page of {rows.rows} cabs for a made-up failure"

    def application(self, family: str, application_id: str) -> str:
        """Ask for a failure of an application, at most one row."""
        today = datetime.now(UTC).date()
        kind = replace(APPLICATIONS[family], page_rows=1)
        url = kind.hits_url(self._devcenter, application_id, Window(today - timedelta(days=7), today), 0)
        answer = self._asked(url)
        setting = "DESKTOP_APPLICATION_IDS" if family == "desktop" else "STORE_APPLICATION_IDS"
        if answer.meaning in {Meaning.NO_PERMISSION, Meaning.MISSING, Meaning.WRONG_REQUEST} and not answer.is_good:
            program = "the Windows Desktop Application program" if family == "desktop" else "the account's Store apps"
            raise ProbeFailed(
                str(answer),
                f"Check that {application_id} in {setting} is an id of {program} in the Partner Center account that "
                "the Entra application is added to, and that it has the role Manager there.",
            )
        page = kind.hits_page(self._good(answer), f"the failures of application {application_id}", application_id)
        return f"{max(page.total, page.rows)} rows of failures in the last 7 days"

    def _runs(self, report_id: str) -> str:
        today = datetime.now(UTC).date()
        window = Window(today - self._lookback, today + timedelta(days=1))
        listed = self._good(self._asked(self._devcenter.runs_url(report_id, window)))
        runs = runs_in(listed, report_id, f"the status of report {report_id}").items
        newest = max(runs, key=lambda run: run.report_datetime, default=None)
        told = f"report {report_id}: {len(runs)} runs in the last {self._lookback.days} days"
        return f"{told}, the newest {excerpt(newest.status, 40)}" if newest else told

    def _asked(self, url: str) -> _Answer:
        try:
            token = self._tokens.current()
        except CabferryError:
            raise ProbeFailed("not asked: there is no token", "Mend what the check `token` tells first.") from None
        headers, what = {"Authorization": f"Bearer {token}", "Accept": "application/json"}, urlsplit(url).path
        try:
            with self._source.ask(url, headers, what) as response:
                kind = response.headers.get("Content-Type", "")
                body = body_of(response, what)
                return _Answer(response.status_code, kind, body, refusal_in(response, body, Where.DEVCENTER).meaning)
        except (AgainNow, AgainLater) as error:
            raise unreachable(url, str(error), "DEVCENTER_BASE_URL") from None

    def _good(self, answer: _Answer) -> bytes:
        """Return the body of a JSON answer with 200; raise what a person should do about any other."""
        if answer.is_good:
            return answer.body
        raise ProbeFailed(str(answer), self._advice(answer))

    def _advice(self, answer: _Answer) -> str:
        if answer.is_page or answer.status in REDIRECTS:
            return _A_PAGE
        if answer.meaning is Meaning.UNKNOWN_CALLER and self._access.access_token:
            return "Set DEVCENTER_ACCESS_TOKEN to a token that has not ended: they live an hour."
        named = f"the Entra application {self._access.client_id or 'of DEVCENTER_ACCESS_TOKEN'}"
        return _ADVICE.get(answer.meaning, _UNKNOWN).format(application=named)

    def _sign_in_advice(self, told: str) -> str:
        if code := _AADSTS.search(told):
            if code[1] in _ENTRA:
                return _ENTRA[code[1]]
        elif "tenant" in told.lower():
            return _NO_TENANT
        if self._access.managed_identity_client_id:
            return (
                "Assign the managed identity of DEVCENTER_MANAGED_IDENTITY_CLIENT_ID to the app, and give the Entra "
                "application a federated credential for it (docs/deploy.md)."
            )
        return "Check DEVCENTER_TENANT_ID, DEVCENTER_CLIENT_ID and DEVCENTER_CLIENT_SECRET."


class _Answer(Immutable, frozen=True):
    status: int
    content_type: str
    body: bytes
    meaning: Meaning

    __repr__ = hiding("body")

    @property
    def is_good(self) -> bool:
        """Tell whether it is what was asked for."""
        return self.status == HTTPStatus.OK and not self.is_page

    def __str__(self) -> str:
        seen = "a page of HTML" if self.is_page else said_in(self.body)
        return f"{self.status}: {seen}"

    @property
    def is_page(self) -> bool:
        """Tell whether this is something for a browser."""
        return "html" in self.content_type.lower() or self.body.lstrip()[:1] == b"<"

    @property
    def is_of_the_api(self) -> bool:
        """Tell whether the API wrote this error; the gateway before it knows only statusCode and message."""
        try:
            return "code" in decoded(self.body, dict[str, msgspec.Raw])
        except JsonError:
            return False


class _Claims(msgspec.Struct):
    tid: str | None = None
    appid: str | None = None  # of a v1 token; a v2 token has azp
    azp: str | None = None
    exp: float | None = None


def _told_of(token: str) -> str:
    """Return for whom a token is and when it ends, and nothing else of it."""
    try:
        middle = token.split(".")[1]
        claims = decoded(base64.urlsafe_b64decode(middle + "=" * (-len(middle) % 4)), _Claims)
        end = datetime.fromtimestamp(claims.exp, UTC) if claims.exp is not None else None
    except (IndexError, binascii.Error, JsonError, ValueError, OverflowError, OSError):
        return "a token that cannot be read: it is opaque"
    told = f"a token of the tenant {_named(claims.tid)} for the application {_named(claims.appid or claims.azp)}"
    if end is None:
        return told
    minutes = round((end - datetime.now(UTC)) / timedelta(minutes=1))
    if minutes < 0:
        raise ProbeFailed(
            f"{told}, which ended at {end:%Y-%m-%d %H:%M} UTC",
            "Set DEVCENTER_ACCESS_TOKEN to a new token, or let the app sign in by itself with a secret or identity.",
        )
    return f"{told}, good until {end:%Y-%m-%d %H:%M} UTC ({minutes} minutes)"


def _named(claim: str | None) -> str:
    return excerpt(claim, 80) if claim else "(not told)"
