"""The Dev Center and its storage in memory: what it holds of each failure, and how it answers.

A batch is told in one of several forms, since nobody documented which: with and without a total, with links or by
counting, in pages that are smaller than asked for. A cab's URL is signed anew for each request and lives for a while.
"""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, Literal
from urllib.parse import parse_qs, quote, unquote, urlsplit

from shared.core import clock
from shared.core.failure import Failure

from .container import md5_of

if TYPE_CHECKING:
    from urllib.parse import SplitResult

BASE = "https://manage.devcenter.microsoft.com"
CABS_HOST, REPORTS_HOST = "cabs.blob.core.windows.net", "reports.blob.core.windows.net"
TOKEN = "the-token-of-the-games"
_COLUMNS = (
    *("ApplicationId", "FailureHash", "FailureName", "CabIdHash", "DriverName", "DriverVersion"),
    "CabExpirationTime",
)


@dataclass(eq=False, slots=True)
class Cab:
    """A cab of the Dev Center.

    Args:
        name: Its cabIdHash.
        failure: Whose it is.
        dated: When the crash was collected.
        expires: When Microsoft deletes it.
        content: Its bytes.
        has_url: Whether its row of the batch has one.
        is_dead: Whether that is refused however fresh it is: only the call for one cab leads to it.
        downloadable: What its row says.
        arrived_at: When it came into the batch.
        left_at: When its row left the batch; None while it is listed.
        gone_at: When its bytes were deleted; None while they are there.
    """

    name: str
    failure: Failure
    dated: datetime
    expires: datetime
    content: bytes = field(repr=False)
    has_url: bool = True
    is_dead: bool = False
    downloadable: bool = True
    arrived_at: datetime = field(default_factory=clock.now)
    left_at: datetime | None = None
    gone_at: datetime | None = None

    @property
    def is_there(self) -> bool:
        """Whether its bytes can be read."""
        return self.gone_at is None and clock.now() < self.expires

    @property
    def can_be_copied(self) -> bool:
        """Whether it is given to who asks in the right way."""
        return self.is_there and self.has_url and self.downloadable and self.left_at is None


@dataclass(frozen=True, slots=True)
class Form:
    """How a batch is told.

    Args:
        page: The most rows of a page, however many are asked for.
        link: How the next page is named.
        total: Whether TotalCount is told.
        sas: How long a cab's URL lives.
    """

    page: int = 3
    link: Literal["none", "relative", "absolute"] = "relative"
    total: bool = True
    sas: timedelta = timedelta(days=2)


@dataclass(eq=False, slots=True)
class Run:
    """A run of the report.

    Args:
        made_at: When; its identity.
        cabs: What it names.
        is_finished: Whether its file is there.
    """

    made_at: datetime
    cabs: tuple[Cab, ...]
    is_finished: bool = False


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer over HTTP."""

    status: int
    body: bytes
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class DevCenter:
    """What Microsoft holds, and how it tells of it.

    Args:
        form: How batches are told.
        batches: The cabs of each failure, in the order of the batch.
        runs: Of the one report.
        moved_at: When rows of a failure's batch last changed their places.
    """

    form: Form = field(default_factory=Form)
    batches: dict[Failure, list[Cab]] = field(default_factory=dict)
    cabs: dict[str, Cab] = field(default_factory=dict)
    runs: list[Run] = field(default_factory=list)
    moved_at: dict[Failure, datetime] = field(default_factory=dict)

    def arrive(self, cab: Cab, *, first: bool = False) -> None:
        """Put a cab into its batch, behind the others or before them."""
        batch = self.batches.setdefault(cab.failure, [])
        batch.insert(0 if first else len(batch), cab)
        self.cabs[cab.name] = cab
        if first:
            self.moved_at[cab.failure] = clock.now()

    def leave(self, cab: Cab) -> None:
        """Take a cab's row out of its batch, so that those behind it move up."""
        self.batches[cab.failure].remove(cab)
        cab.left_at = self.moved_at[cab.failure] = clock.now()

    def answer(self, url: str, token: str) -> Reply:
        """Answer a GET of the API."""
        parts = urlsplit(url)
        if token != f"Bearer {TOKEN}":
            return _json({"statusCode": 401, "message": "Unauthorized"}, 401)
        if parts.path.endswith("/cabdownloadbatch"):
            return self._batch(parts)
        if parts.path.endswith("/cabdownload"):
            return self._one_cab(parts)
        if parts.path.endswith("/driver/report"):
            return _json({"data": [{"reportId": 1, "isActive": True}]})
        if parts.path.endswith("/reportdata/1"):
            return self._runs(parts)
        return _json({"message": "no such thing"}, 404)

    def fetch(self, url: str) -> Reply:
        """Answer a GET of a cab or a report, for whoever has its URL."""
        parts = urlsplit(url)
        query, name = parse_qs(parts.query), parts.path.rsplit("/", 1)[-1].split(".")[0]
        expiry = query.get("se", [""])[0]
        if query.get("sig", [""])[0] != _signature(name, expiry) or datetime.fromisoformat(expiry) <= clock.now():
            return Reply(403, b"", {"x-ms-error-code": "AuthenticationFailed"})
        if parts.hostname == REPORTS_HOST:
            return Reply(200, self._report(self.runs[int(name)]))
        cab = self.cabs.get(name)
        if cab is None or not cab.is_there:
            return Reply(404, b"", {"x-ms-error-code": "BlobNotFound"})
        md5 = base64.b64encode(md5_of(cab.content)).decode()
        return Reply(200, cab.content, {"Content-MD5": md5, "ETag": f'"{cab.name}"'})

    def _batch(self, parts: SplitResult) -> Reply:
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        failure = Failure(query["applicationId"], query["failureHash"])
        first, last = date.fromisoformat(query["startDate"]), date.fromisoformat(query["endDate"])
        skip, top = int(query["skip"]), min(int(query["top"]), self.form.page)
        rows = [cab for cab in self.batches.get(failure, []) if first <= cab.dated.date() <= last]
        some = rows[skip : skip + top]
        page: dict[str, object] = {"Value": [self._row(cab) for cab in some]}
        if self.form.total:
            page["TotalCount"] = len(rows)
        following = skip + len(some)
        if self.form.link != "none" and following < len(rows):
            path = f"v1.0/my/analytics/driver/cabdownloadbatch?{_link_query(query, following)}"
            page["@nextLink"] = path if self.form.link == "relative" else f"{BASE}/{path}"
        return _json(page)

    def _row(self, cab: Cab) -> dict[str, object]:
        row: dict[str, object] = {
            "cabIdHash": cab.name,
            "submissionId": "1",
            "date": f"{cab.dated:%Y-%m-%d %H:%M:%S}",
            "cabExpirationTime": f"{cab.expires:%Y-%m-%d %H:%M:%S}",
            "cabDownloadable": cab.downloadable,
        }
        if cab.has_url:
            row["cabUrl"] = self._url(cab).replace("sig=", "sig=x" if cab.is_dead else "sig=")
        return row

    def _one_cab(self, parts: SplitResult) -> Reply:
        cab = self.cabs.get(parse_qs(parts.query)["cabIdHash"][0])
        if cab is None or not cab.can_be_copied:
            return _json({"message": "no such cab"}, 404)
        return Reply(302, b"", {"Location": self._url(cab)})

    def _url(self, cab: Cab) -> str:
        return f"https://{CABS_HOST}/c/{cab.name}.ext.zip?{_sas(cab.name, self.form.sas)}"

    def _runs(self, parts: SplitResult) -> Reply:
        query = parse_qs(parts.query)
        first, last = (date.fromisoformat(query[name][0]) for name in ("startDate", "endDate"))
        runs = [
            {
                "ReportDatetime": f"{run.made_at:%Y-%m-%dT%H:%M:%S}",
                "ReportStatus": "Completed" if run.is_finished else "Pending",
                "ReportLocation": f"https://{REPORTS_HOST}/r/{number}.tsv?{_sas(str(number), timedelta(hours=12))}"
                if run.is_finished
                else None,
            }
            for number, run in enumerate(self.runs)
            if first <= run.made_at.date() <= last
        ]
        return _json({"data": runs})

    @staticmethod
    def _report(run: Run) -> bytes:
        lines = ["\t".join(_COLUMNS)]
        for cab in run.cabs:
            failure = cab.failure
            ids, expires = (failure.application_id, failure.failure_hash), f"{cab.expires:%Y-%m-%d %H:%M:%S}"
            lines.append("\t".join((*ids, "0x9F", cab.name, "a.sys", "1.0", expires)))
        return "\r\n".join(lines).encode()


def _link_query(query: dict[str, str], skip: int) -> str:
    names = ("applicationId", "failureHash", "startDate", "endDate", "top")
    return "&".join([*(f"{name}={quote(query[name])}" for name in names), f"skip={skip}"])


def _sas(name: str, lives: timedelta) -> str:
    return _sas_until(name, f"{clock.now() + lives:%Y-%m-%dT%H:%M:%SZ}")


@lru_cache(10_000)
def _sas_until(name: str, expiry: str) -> str:
    return f"sv=2020-08-04&se={quote(expiry)}&sr=b&sp=r&sig={_signature(name, expiry)}"


def _signature(name: str, expiry: str) -> str:
    return hashlib.sha256(f"{name} {unquote(expiry)}".encode()).hexdigest()[:20]


def _json(body: object, status: int = 200) -> Reply:
    return Reply(
        status,
        json.dumps(body).encode(),
        {"Content-Type": "application/json", "Date": f"{clock.now():%a, %d %b %Y %H:%M:%S GMT}"},
    )
