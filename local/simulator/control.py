"""The calls that steer the simulator from outside: faults, new cabs, new runs, another form."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import aiohttp
import msgspec
from aiohttp import web

from local.cabs import ArchiveKind
from local.simulator.answers import as_json
from local.simulator.builder import CabForm
from local.simulator.catalogue import FailureKey, Family, Report
from local.simulator.center import DevCenter
from local.simulator.faults import Fault
from local.simulator.scenario import BatchForm, ReportForm

_CALLBACK_TIME = aiohttp.ClientTimeout(10)


class NewCabs(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """Cabs that arrive: how many, for which failure, and what they are like (as `builder.CabForm` says)."""

    application_id: str
    failure_hash: str
    count: int = 1
    dump_size: int = 64 * 1_024
    kind: ArchiveKind | None = None
    downloadable: bool = True
    has_url: bool = True
    stored: bool = True


class NewRun(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """A run that a schedule gives: its form, the hashes it tells of (where none is named, all of drivers), its age."""

    form: ReportForm = ReportForm()
    failure_hashes: tuple[str, ...] = ()
    hours_ago: float = 0.0


class Control:
    """The control calls. They need no token: the simulator listens on loopback only."""

    def __init__(self, center: DevCenter) -> None:
        """Bind the calls to a Dev Center.

        Args:
            center: What they steer.
        """
        self._center = center
        self._page = Path(__file__).with_name("page.html").read_text(encoding="utf-8")

    def routes(self) -> list[web.RouteDef]:
        """Return the routes below `/simulator`."""
        return [
            web.get("/simulator", self._show),
            web.get("/simulator/served", self._served),
            web.get("/simulator/faults", self._list_faults),
            web.post("/simulator/faults", _decoding(self._add_fault)),
            web.delete("/simulator/faults", self._clear_faults),
            web.put("/simulator/form", _decoding(self._set_form)),
            web.post("/simulator/cabs", _decoding(self._add_cabs)),
            web.delete("/simulator/cabs/{applicationId}/{cabIdHash}", self._withdraw),
            web.post("/simulator/reports/{reportId}/runs", _decoding(self._add_run)),
        ]

    async def _show(self, _: web.Request) -> web.Response:
        return web.Response(text=self._page, content_type="text/html")

    async def _served(self, _: web.Request) -> web.Response:
        return as_json(self._center.served())

    async def _list_faults(self, _: web.Request) -> web.Response:
        return as_json(self._center.faults.waiting)

    async def _add_fault(self, request: web.Request) -> web.Response:
        self._center.faults.add(msgspec.json.decode(await request.read(), type=Fault))
        return as_json(self._center.faults.waiting, 201)

    async def _clear_faults(self, _: web.Request) -> web.Response:
        self._center.faults.clear()
        return web.Response(status=204)

    async def _set_form(self, request: web.Request) -> web.Response:
        self._center.form = msgspec.json.decode(await request.read(), type=BatchForm)
        return as_json(self._center.form)

    async def _add_cabs(self, request: web.Request) -> web.Response:
        new = msgspec.json.decode(await request.read(), type=NewCabs)
        failure = self._center.world.failures.get(FailureKey(new.application_id, new.failure_hash))
        if failure is None:
            return as_json({"error": "no such failure"}, 404)
        form = CabForm(
            dump_size=(new.dump_size, new.dump_size),
            kind=new.kind,
            downloadable=new.downloadable,
            has_url=new.has_url,
            stored=new.stored,
        )
        cabs = self._center.builder.cabs(failure, new.count, form)
        await self._center.publish()
        return as_json({"cabIdHashes": [cab.cab_id_hash for cab in cabs]}, 201)

    async def _withdraw(self, request: web.Request) -> web.Response:
        cab = self._center.world.cab(request.match_info["applicationId"], request.match_info["cabIdHash"])
        if cab is None or cab.cab_id_hash not in self._center.world.held:
            return as_json({"error": "no such cab is held"}, 404)
        await self._center.withdraw(cab)
        return web.Response(status=204)

    async def _add_run(self, request: web.Request) -> web.Response:
        new = msgspec.json.decode(await request.read(), type=NewRun)
        report = self._center.world.report(request.match_info["reportId"])
        if report is None:
            return as_json({"error": "no such report"}, 404)
        hashes = set(new.failure_hashes)
        failures = [
            failure
            for key, failure in self._center.world.failures.items()
            if (key.failure_hash in hashes if hashes else failure.family is Family.DRIVER)
        ]
        columns = new.form.columns or self._center.world.templates[report.template_id].columns
        at = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=new.hours_ago)
        run = self._center.builder.run(report, failures, msgspec.structs.replace(new.form, columns=columns), at)
        await self._center.publish()
        told = {"reportDatetime": f"{run.at:%Y-%m-%dT%H:%M:%S}", "failures": len(failures)}
        return as_json({**told, "callback": await _called_back(report)}, 201)


async def _called_back(report: Report) -> int | None:
    """Tell a schedule's CallbackURL of a run; what the API sends there is not documented. Return what it answered."""
    if not report.callback:
        return None
    told = {"reportId": report.report_id, "reportStatus": "Completed"}
    async with (
        aiohttp.ClientSession(timeout=_CALLBACK_TIME) as client,
        client.post(report.callback, json=told) as answer,
    ):
        return answer.status


def _decoding(
    handle: Callable[[web.Request], Awaitable[web.Response]],
) -> Callable[[web.Request], Awaitable[web.Response]]:
    """Answer 400, with what is wrong, where a body is not what the call takes."""

    async def checked(request: web.Request) -> web.Response:
        try:
            return await handle(request)
        except msgspec.DecodeError as error:
            return as_json({"error": str(error)}, 400)

    return checked
