"""No secret and no device's identity gets to where people can read it, whatever goes right or wrong."""

import json
from collections.abc import Iterator, Mapping
from urllib.parse import parse_qs, quote

import pytest
import requests

from local.azurite.server import Azurite
from local.simulator.builder import CabForm
from local.simulator.catalogue import Failure
from local.simulator.faults import Call, Fault, FaultKind
from local.simulator.report_file import OEM_DRIVER_COLUMNS
from local.simulator.scenario import BatchForm, BlobHost, Location, ReportForm
from tests.support.azurite import SOURCES
from tests.system.app import App
from tests.system.playground import Playground
from tests.system.waiting import wait_until

# As a SAS has it, in the form that a URL gives it.
SIGNATURE = "3b7Lw2JxTq%2FpasteDbyAPerson%2B%3D"


@pytest.fixture
def failures(playground: Playground) -> list[Failure]:
    """Failures whose pulls go well and wrong in every way that could quote a URL, a header or a row."""
    builder = playground.simulator.builder
    kinds = (
        *(FaultKind.EXPIRED_SAS, FaultKind.MISSING_URL, FaultKind.TRUNCATED, FaultKind.HTML, FaultKind.RESET),
        *(FaultKind.FORBIDDEN, FaultKind.UNAUTHORIZED, FaultKind.BAD_REQUEST, FaultKind.SERVER_ERROR),
    )
    failures = [builder.failure(3) for _ in range(14)]
    builder.cabs(failures[0], 2, CabForm(stored=False))
    builder.report(failures[:7], ReportForm(gzip=False))
    builder.report(failures[7:], ReportForm(location=Location.FRONT_SAS, delimiter=",", quote_all=True))
    builder.report(failures, ReportForm(columns=OEM_DRIVER_COLUMNS))
    builder.report(failures[:1], ReportForm(location=Location.BARE))
    playground.simulator.publish()
    for failure, kind in zip(failures[1:], kinds, strict=False):
        playground.fail(failure, kind, None)
    return failures


@pytest.fixture
def secrets(playground: Playground, azurite: Azurite, access_token: str) -> dict[str, str]:
    """Everything that must not be seen, by what it is."""
    keys = {f"the key of {name}": azurite.accounts[name] for name in (playground.storage.name, *SOURCES)}
    return {"the token": access_token, "a signature": "sig=", **keys}


def test_nothing_secret_is_told_anywhere(
    playground: Playground, failures: list[Failure], secrets: dict[str, str], access_token: str
) -> None:
    """A SAS in a log opens a crash dump to everyone who reads logs; a DeviceId in a table is personal data."""
    app = playground.start({"PULL_MAX_ATTEMPTS": "1"})
    secrets |= {"the signature of a URL that was pasted": SIGNATURE}
    seen = dict(_answers(playground, app, access_token))
    playground.ends(app, *failures)
    # The other way of copying, with half a cab and a refused signature.
    playground.simulator.form = BatchForm(cab_host=BlobHost.FRONT)
    streamed = [playground.simulator.builder.failure(2) for _ in range(3)]
    playground.simulator.publish()
    for kind, failure in zip((FaultKind.TRUNCATED, FaultKind.FORBIDDEN), streamed, strict=False):
        blob = playground.simulator.world.cabs(failure.key)[0].place.name
        fault = Fault(call=Call.BLOB, kind=kind, times=None, match={"blob": blob})
        playground.simulator.faults.add(fault)
    playground.pull(app, *streamed)
    seen |= dict(_answers(playground, app, access_token))
    seen |= {f"the answer for {failure.key}": str(playground.told(app, failure)) for failure in [*failures, *streamed]}
    seen |= {f"table {name}": str(playground.stored.rows(name)) for name in ("reports", "pulls", "cabs", "health")}
    for blob in playground.stored.listed():
        seen[f"blob {blob}"] = str((playground.stored.metadata(blob), playground.stored.tags(blob)))
    seen["the log"] = app.log
    # The signatures that were given, besides the word that leads them.
    urls = [row["cabUrl"] for row in _rows(playground, access_token, streamed[0])]
    secrets |= {f"signature {number}": parse_qs(url.partition("?")[2])["sig"][0] for number, url in enumerate(urls)}
    for cab in playground.simulator.world.all_cabs():
        secrets |= {f"DeviceId of {cab.cab_id_hash}": cab.machine.device_id}
        secrets |= {f"HardwareId of {cab.cab_id_hash}": cab.machine.hardware_id}
    assert _found(secrets, seen) == []
    assert len(playground.stored.listed()) > 10, "something must have been copied"


def test_nothing_secret_is_in_a_message(playground: Playground, secrets: dict[str, str]) -> None:
    """A message lives for days in a queue that more people may read than a vault."""
    failures = [playground.simulator.builder.failure(1) for _ in range(20)]
    playground.simulator.builder.report(failures)
    playground.simulator.publish()
    # More pulls than run at once: the messages of the others stay to be looked at.
    slow = Fault(call=Call.CAB_BATCH, kind=FaultKind.SLOW, delay=2, times=None)
    playground.simulator.faults.add(slow)
    app = playground.start()
    playground.check(app)
    messages = wait_until(playground.stored.visible_messages, "messages that wait")
    playground.simulator.faults.clear()
    for cab in playground.simulator.world.all_cabs():
        secrets |= {"DeviceId": cab.machine.device_id, "HardwareId": cab.machine.hardware_id}
        assert _found(secrets, {"a message": "".join(messages)}) == []
    fields = {field for message in messages for field in json.loads(message)}
    assert {"applicationId", "failureHash", "startDate", "endDate", "requestedBy"} <= fields
    playground.ends(app, *failures)


def _answers(playground: Playground, app: App, access_token: str) -> Iterator[tuple[str, str]]:
    """Yield what the app answers, also to those who paste a secret where it does not belong."""
    for path, query in (("/api/pulls", {"limit": "1000"}), ("/api/health", {}), ("/admin/functions", {})):
        yield f"GET {path}", app.get(path, **query).text
    for _ in range(2):
        yield "a check", str(playground.checked(app))
    pasted = f"https://uswewatcab09.blob.core.windows.net/kernel/cab.zip?sp=r&sig={SIGNATURE}"
    yield "a URL as hash", app.post("/api/pulls", {"applicationId": "1", "failureHash": pasted}).text
    yield "a token as id", app.post("/api/pulls", {"applicationId": f"Bearer {access_token}", "failureHash": "1"}).text
    yield "a URL as state", app.get("/api/pulls", state=pasted).text


def _rows(playground: Playground, access_token: str, failure: Failure) -> list[dict[str, str]]:
    """Ask the Dev Center for a failure's rows, as the app does."""
    answer = requests.get(
        f"{playground.simulator.url}/v1.0/my/analytics/driver/cabdownloadbatch",
        params={"applicationId": failure.key.application_id, "failureHash": failure.key.failure_hash},
        headers={"Authorization": f"Bearer {access_token}"},
        timeout=60,
    )
    rows: list[dict[str, str]] = answer.json()["Value"]
    return rows


def _found(secrets: Mapping[str, str], seen: Mapping[str, str]) -> list[str]:
    """Return which secrets are to be read where, in any spelling that a URL or a text of Python gives them."""
    seen = {where: text.replace("sig=[", "") for where, text in seen.items()}  # so that a secret may be named
    return [
        f"{what} in {where}"
        for where, text in seen.items()
        for what, secret in secrets.items()
        if secret in text or quote(secret, safe="") in text or repr(secret)[1:-1] in text
    ]
