"""Answer the API's calls over HTTP: token, faults and ledger are the same for all of them."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import aiohttp
import msgspec
from aiohttp import web

from local.simulator import answers, batch, reports, siblings
from local.simulator.catalogue import BlobPlace, Cab, FailureKey, Family, ReportRun
from local.simulator.center import DevCenter
from local.simulator.faults import Call, Fault, FaultKind
from local.simulator.front import bare_blob, signed_blob
from local.simulator.ledger import SeenRequest
from local.simulator.scenario import BlobHost, Location
from local.simulator.spoiling import Cut, spoiled

REPORT_SAS_LIFETIME, CAB_SAS_LIFETIME = timedelta(hours=12), timedelta(hours=1)
_EXPIRED_FOR = timedelta(minutes=1)

type Accepts = Callable[[str], bool]
type Answer = Callable[[web.Request, Fault | None], Awaitable[web.StreamResponse]]


class Api:
    """The API's calls, and the blobs by the simulator's own address."""

    def __init__(self, center: DevCenter, client: aiohttp.ClientSession, accepts: Accepts, storage: Accepts) -> None:
        """Bind the calls to a Dev Center.

        Args:
            center: What they answer from.
            client: What storage is asked with; must not decompress.
            accepts: Tells whether a bearer token is good for the API.
            storage: Tells whether one is good for a report location without a signature.
        """
        self._center = center
        self._client = client
        self._accepts = accepts
        self._storage_accepts = storage

    def routes(self) -> list[web.RouteDef]:
        """Return the routes of every call, and last the one for all other paths."""
        return [
            web.get("/analytics/driver/report", self._wrapped(Call.REPORT, self._schedules)),
            web.post("/analytics/driver/report", self._wrapped(Call.REPORT, self._new_schedule)),
            web.post(
                "/analytics/driver/report/{verb:pause|resume}/{reportId}", self._wrapped(Call.REPORT, self._pause)
            ),
            web.get("/analytics/driver/reporttemplate", self._wrapped(Call.REPORT_TEMPLATE, self._templates)),
            web.get(
                "/analytics/driver/reporttemplate/{templateId}", self._wrapped(Call.REPORT_TEMPLATE, self._template)
            ),
            web.post("/analytics/driver/reporttemplate", self._wrapped(Call.REPORT_TEMPLATE, self._new_template)),
            web.get("/analytics/driver/reportdata/{reportId}", self._wrapped(Call.REPORT_DATA, self._runs)),
            web.get("/v1.0/my/analytics/driver/cabdownloadbatch", self._wrapped(Call.CAB_BATCH, self._batch)),
            web.get("/v1.0/my/analytics/driver/cabdownload", self._wrapped(Call.CAB_DOWNLOAD, self._one_cab)),
            *self._sibling_routes(Family.DESKTOP, "/v1.0/my/analytics/desktop/"),
            *self._sibling_routes(Family.APP, "/v1.0/my/analytics/"),
            web.get("/{account}/{container}/{blob:[^/]+}", self._wrapped(Call.BLOB, self._blob)),
            web.route("*", "/{path:.*}", self._wrapped(Call.UNKNOWN, self._unknown)),
        ]

    def _sibling_routes(self, family: Family, base: str) -> list[web.RouteDef]:
        async def hits(request: web.Request, _: Fault | None) -> web.Response:
            return self._listing(request, family, siblings.Kind.HITS)

        async def details(request: web.Request, _: Fault | None) -> web.Response:
            return self._listing(request, family, siblings.Kind.DETAILS)

        async def cab(request: web.Request, fault: Fault | None) -> web.Response:
            return self._application_cab(request, family, fault)

        return [
            web.get(f"{base}failurehits", self._wrapped(Call.FAILURE_HITS, hits)),
            web.get(f"{base}failuredetails", self._wrapped(Call.FAILURE_DETAILS, details)),
            web.get(f"{base}cabdownload", self._wrapped(Call.CAB_DOWNLOAD, cab)),
        ]

    def _wrapped(self, call: Call, answer: Answer) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def handle(request: web.Request) -> web.StreamResponse:
            try:
                response = await self._answer(call, answer, request)
            except ConnectionError:
                raise  # Whoever asked is gone, as a killed app is, maybe amid a blob: nothing is wrong here.
            except Exception as error:
                self._center.ledger.problems.append(f"{call}: {type(error).__name__}")
                raise
            self._note(call, request, 0 if isinstance(response, Cut) else response.status)
            return response

        return handle

    async def _answer(self, call: Call, answer: Answer, request: web.Request) -> web.StreamResponse:
        fault = self._center.faults.take(call, {**request.match_info, **request.query})
        if fault is None:
            return await self._right_answer(call, answer, request, None)
        failing = answers.failing(fault)
        if failing is not None:
            return failing
        return await spoiled(request, fault.kind, fault.delay, lambda: self._right_answer(call, answer, request, fault))

    async def _right_answer(
        self, call: Call, answer: Answer, request: web.Request, fault: Fault | None
    ) -> web.StreamResponse:
        if call is not Call.BLOB and not self._accepts(_bearer(request)):
            return answers.unauthorized()
        return await answer(request, fault)

    def _note(self, call: Call, request: web.Request, status: int) -> None:
        query = {} if "sig" in request.query else dict(request.query)
        seen = SeenRequest(call, request.host, {**request.match_info, **query}, status, bool(_bearer(request)))
        self._center.ledger.note_request(seen)

    async def _schedules(self, _: web.Request, __: Fault | None) -> web.Response:
        return self._data([reports.schedule_row(report) for report in self._center.world.reports.values()])

    async def _new_schedule(self, request: web.Request, _: Fault | None) -> web.Response:
        try:
            made = reports.new_schedule(self._center.builder, self._center.world, await request.read())
        except (ValueError, msgspec.DecodeError) as error:
            return answers.report_error(400, "BadRequest", str(error))
        return self._data({"reportId": made}, 201)

    async def _pause(self, request: web.Request, _: Fault | None) -> web.Response:
        report = self._center.world.report(request.match_info["reportId"])
        if report is None:
            return answers.report_error(400, "BadRequest", f"No report has the id {request.match_info['reportId']}.")
        report.active, report.modified = request.match_info["verb"] == "resume", datetime.now(UTC)
        return self._data({"reportId": report.report_id}, 201)

    async def _templates(self, _: web.Request, __: Fault | None) -> web.Response:
        return self._data([reports.template_row(*each) for each in self._center.world.templates.items()])

    async def _template(self, request: web.Request, _: Fault | None) -> web.Response:
        number = request.match_info["templateId"]
        template = self._center.world.templates.get(int(number)) if number.isdecimal() else None
        if template is None:
            return answers.report_error(400, "BadRequest", f"No template has the id {number}.")
        return self._data(reports.template_row(int(number), template))

    async def _new_template(self, request: web.Request, _: Fault | None) -> web.Response:
        try:
            made = reports.new_template(self._center.builder, await request.read())
        except (ValueError, msgspec.DecodeError) as error:
            return answers.report_error(400, "BadRequest", str(error))
        return self._data({"templateId": made}, 201)

    async def _runs(self, request: web.Request, _: Fault | None) -> web.Response:
        report = self._center.world.report(request.match_info["reportId"])
        if report is None:
            return answers.report_error(404, "NotFound", f"No report has the id {request.match_info['reportId']}.")
        try:
            runs = reports.runs_within(report, request.query)
        except ValueError:
            return answers.report_error(400, "InvalidQueryParameters", "A date must be yyyy-mm-dd.")
        for run in runs:
            self._center.ledger.note_run(report, run)
        return self._data([reports.run_row(run, lambda run: self._location(request, run)) for run in runs])

    async def _batch(self, request: web.Request, fault: Fault | None) -> web.Response:
        try:
            query = batch.BatchQuery.parse(request.query)
        except batch.BadQueryError as error:
            return answers.bad_request(error.problems)
        form, ledger = self._center.form, self._center.ledger
        page = batch.page_of(self._center.world.cabs(query.failure), query, form)
        ledger.note_page(query.failure)
        rows = self._rows(request, page, fault)
        link = batch.link_field(page, query, form, _foreign(request))
        date = format_datetime(datetime.now(UTC) + timedelta(seconds=form.clock_ahead), usegmt=True)
        return answers.as_json({"Value": rows, **link, "TotalCount": page.total}, headers={"Date": date})

    def _rows(self, request: web.Request, page: batch.Page, fault: Fault | None) -> list[batch.Row]:
        kind = None if fault is None else fault.kind
        # One moment for the whole page: the sample's rows share it, since URLs are minted by the request.
        expiry = self._expiry() if kind is not FaultKind.EXPIRED_SAS else datetime.now(UTC) - _EXPIRED_FOR

        def url(cab: Cab) -> str:
            self._center.ledger.note_cab(cab)
            return self._signed(request, cab.place, expiry, self._center.form.cab_host is BlobHost.FRONT)

        return [batch.row_of(cab, url) for cab in page.cabs]

    async def _one_cab(self, request: web.Request, fault: Fault | None) -> web.Response:
        named = [request.query.get(name, "") for name in ("applicationId", "cabIdHash")]
        if not all(named):
            return answers.bad_request(["applicationId and cabIdHash parameters are required"])
        cab = self._center.world.cab(*named)
        if cab is None or not (cab.downloadable and cab.has_url):
            return answers.gateway(404, "Resource not found")
        return self._redirect(request, cab, fault)

    def _listing(self, request: web.Request, family: Family, kind: siblings.Kind) -> web.Response:
        try:
            query = siblings.ListQuery.parse(family, kind, request.query)
        except batch.BadQueryError as error:
            return answers.bad_request(error.problems)
        if kind is siblings.Kind.DETAILS:
            self._center.ledger.note_page(FailureKey(query.application_id, query.failure_hash))
        page = siblings.listing_of(self._center.world, query, self._center.longest_list)
        return answers.as_json(siblings.envelope_of(page, query))

    def _application_cab(self, request: web.Request, family: Family, fault: Fault | None) -> web.Response:
        names = ("applicationId", siblings.cab_key(family))
        named = [request.query.get(name, "") for name in names]
        if not all(named):
            return answers.bad_request([f"{' and '.join(names)} parameters are required"])
        cab = self._center.world.cab(*named)
        if cab is None or self._center.world.failures[cab.failure].family is not family:
            return answers.gateway(404, "Resource not found")
        if not cab.downloadable:
            return answers.forbidden()
        return self._redirect(request, cab, fault)

    def _redirect(self, request: web.Request, cab: Cab, fault: Fault | None) -> web.Response:
        """Lead to a cab, or where no cab is: to the SAS of another host, or to one that has expired."""
        self._center.ledger.note_cab(cab)
        kind = None if fault is None else fault.kind
        expiry = datetime.now(UTC) - _EXPIRED_FOR if kind is FaultKind.EXPIRED_SAS else self._expiry()
        front = self._center.form.cab_host is BlobHost.FRONT
        location = self._signed(request, cab.place, expiry, front)
        if kind is FaultKind.FOREIGN_HOST:
            location = f"https://evil.example/cab.ext.zip?{location.partition('?')[2]}"
        return web.Response(status=302, headers={"Location": location})

    async def _blob(self, request: web.Request, fault: Fault | None) -> web.StreamResponse:
        place = BlobPlace(*(request.match_info[name] for name in ("account", "container", "blob")))
        if not self._center.sources.has(place.account):
            return answers.gateway(404, "Resource not found")
        if "sig" in request.query:
            return await signed_blob(request, self._center.sources, self._client, place, whole=fault is not None)
        if not self._storage_accepts(_bearer(request)):
            return answers.storage_error(
                401, "NoAuthenticationInformation", "Server failed to authenticate the request."
            )
        return await bare_blob(request, self._center.sources, place, whole=fault is not None)

    async def _unknown(self, _: web.Request, __: Fault | None) -> web.Response:
        return answers.gateway(404, "Resource not found")

    def _data(self, rows: object, status: int = 200) -> web.Response:
        return answers.as_json({"data": rows, "errors": []}, status)

    def _location(self, request: web.Request, run: ReportRun) -> str:
        if run.form.location is Location.BARE:
            return _front_url(request, run.place)
        if run.form.location is Location.STORAGE:
            return self._center.sources.url(run.place)
        expiry = datetime.now(UTC).replace(microsecond=0) + REPORT_SAS_LIFETIME
        return self._signed(request, run.place, expiry, run.form.location is Location.FRONT_SAS)

    def _expiry(self) -> datetime:
        return (datetime.now(UTC) + CAB_SAS_LIFETIME).replace(microsecond=0)

    def _signed(self, request: web.Request, place: BlobPlace, expiry: datetime, front: bool) -> str:
        base = _front_url(request, place) if front else self._center.sources.url(place)
        return f"{base}?{self._center.sources.signature(place, expiry)}"


def _bearer(request: web.Request) -> str:
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    return token if scheme.lower() == "bearer" else ""


def _origin(request: web.Request) -> str:
    return f"{request.scheme}://{request.host}"


def _foreign(request: web.Request) -> str:
    """Return another host's origin: the other name of this machine, so that a token sent there would be seen here."""
    host, _, port = request.host.partition(":")
    return f"{request.scheme}://{'localhost' if host == '127.0.0.1' else '127.0.0.1'}:{port}"


def _front_url(request: web.Request, place: BlobPlace) -> str:
    return f"{_origin(request)}/{place.account}/{place.container}/{place.name}"
