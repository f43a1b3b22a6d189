"""The simulator's page, and the calls behind its buttons: faults, new cabs, new runs."""

from collections.abc import Awaitable, Callable
from pathlib import Path

import aiohttp
import msgspec
from aiohttp import web

from local.simulator.answers import as_json
from local.simulator.builder import CabForm
from local.simulator.catalogue import FailureKey, Family, Report
from local.simulator.center import DevCenter
from local.simulator.faults import Fault
from local.simulator.scenario import ReportForm

_CALLBACK_TIME = aiohttp.ClientTimeout(10)
_ARRIVING = CabForm(dump_size=(64 * 1_024, 64 * 1_024))


class NewCabs(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """Cabs that arrive: for which failure, and how many."""

    application_id: str
    failure_hash: str
    count: int


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
            web.post("/simulator/faults", _decoding(self._add_fault)),
            web.delete("/simulator/faults", self._clear_faults),
            web.post("/simulator/cabs", _decoding(self._add_cabs)),
            web.post("/simulator/reports/{reportId}/runs", self._add_run),
        ]

    async def _show(self, _: web.Request) -> web.Response:
        return web.Response(text=self._page, content_type="text/html")

    async def _served(self, _: web.Request) -> web.Response:
        return as_json(self._center.ledger.served(self._center.world, len(self._center.faults.waiting)))

    async def _add_fault(self, request: web.Request) -> web.Response:
        self._center.faults.add(msgspec.json.decode(await request.read(), type=Fault))
        return as_json(self._center.faults.waiting, 201)

    async def _clear_faults(self, _: web.Request) -> web.Response:
        self._center.faults.clear()
        return web.Response(status=204)

    async def _add_cabs(self, request: web.Request) -> web.Response:
        new = msgspec.json.decode(await request.read(), type=NewCabs)
        failure = self._center.world.failures.get(FailureKey(new.application_id, new.failure_hash))
        if failure is None:
            return as_json({"error": "no such failure"}, 404)
        cabs = self._center.builder.cabs(failure, new.count, _ARRIVING)
        await self._center.publish()
        return as_json({"cabIdHashes": [cab.cab_id_hash for cab in cabs]}, 201)

    async def _add_run(self, request: web.Request) -> web.Response:
        """Let a schedule give a run that tells of all failures of drivers."""
        report = self._center.world.report(request.match_info["reportId"])
        if report is None:
            return as_json({"error": "no such report"}, 404)
        failures = [each for each in self._center.world.failures.values() if each.family is Family.DRIVER]
        form = ReportForm(columns=self._center.world.templates[report.template_id].columns)
        run = self._center.builder.run(report, failures, form)
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
