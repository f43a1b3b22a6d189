"""What people can read holds no signature, token or key, and names no person's device, whatever went wrong."""

import logging
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from azure.data.tables import TableServiceClient

from local.simulator.builder import CabForm
from local.simulator.faults import Call, Fault, FaultKind
from local.simulator.report_file import OEM_DRIVER_COLUMNS
from local.simulator.scenario import BatchForm, BlobHost, ReportForm
from local.simulator.thread import SimulatorThread
from shared.core.log_guard import guard_logs
from tests.support.loopback import LoopbackServer

from .app import App
from .conftest import MakeApp
from .rewriting import rewriting


@pytest.fixture
def guarded(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    """Every record of every library, as the app's own guard leaves it."""
    factory, hook = logging.getLogRecordFactory(), threading.excepthook
    guard_logs()
    caplog.set_level(logging.DEBUG)
    yield caplog
    logging.setLogRecordFactory(factory)
    threading.excepthook = hook


def stored(app: App) -> Iterator[str]:
    """Yield everything that the account holds, but for the bytes of the cabs."""
    with TableServiceClient.from_connection_string(app.storage.connection_string) as tables:
        for table in tables.list_tables():
            yield from (repr(dict(entity)) for entity in tables.get_table_client(table.name).list_entities())
    for blob in app.container.list_blobs(include=["metadata", "tags"]):
        yield f"{blob.name} {blob.metadata} {blob.tags}"
    yield from (message.content for message in app.queue.peek_messages(32))


def edited(rows: list[dict[str, Any]]) -> None:
    """Make rows that fail in every way, each with its signed URL still in it."""
    url = rows[0]["cabUrl"]
    rows[0]["cabUrl"] = url.replace("127.0.0.1", "evil.example")
    rows[1]["cabIdHash"] = url
    rows[2] = {"cabUrl": url}
    rows[3]["submissionId"] = 7
    rows[4]["cabUrl"] = f"{url} x"


def test_nothing_that_people_read_holds_a_secret(
    make_app: MakeApp, simulator: SimulatorThread, access_token: str, guarded: pytest.LogCaptureFixture
) -> None:
    simulator.form = BatchForm(cab_host=BlobHost.FRONT, largest_page=10)
    failure = simulator.builder.failure(25)
    simulator.builder.cabs(failure, 1, CabForm(stored=False))
    other = simulator.builder.failure(3)
    simulator.builder.report([failure])
    simulator.builder.report([other], ReportForm(columns=OEM_DRIVER_COLUMNS))
    simulator.publish()
    with LoopbackServer(rewriting(simulator.url, edited)) as proxy:
        app = make_app(DEVCENTER_BASE_URL=proxy.url)
        outcomes = app.check()
        broken = simulator.world.cabs(failure.key)[7]
        simulator.faults.add(Fault(call=Call.BLOB, kind=FaultKind.SERVER_ERROR, match={"blob": broken.place.name}))
        simulator.faults.add(Fault(call=Call.CAB_BATCH, kind=FaultKind.EXPIRED_SAS))
        row = app.pull(failure)
        simulator.faults.add(Fault(call=Call.CAB_BATCH, kind=FaultKind.FORBIDDEN))
        app.pull(failure)
        read = [*stored(app), repr(outcomes), repr(row), guarded.text]
    assert row.last_error
    devices = [
        identity
        for cab in simulator.world.cabs(failure.key)
        for identity in (cab.machine.device_id, cab.machine.hardware_id)
    ]
    keys = list(app.azurite.accounts.values())
    for text in read:
        assert access_token not in text
        assert "sig=" not in text.replace("sig=[redacted]", "")
        for secret in (*devices, *keys):
            assert secret not in text
