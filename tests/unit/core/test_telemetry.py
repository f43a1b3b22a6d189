"""What reaches Azure Monitor: by the real exporter, to an ingestion on loopback."""

import logging
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest

from functions.exception_guard import telling_no_secret
from shared.core import events, metrics, telemetry
from shared.core.failure import Failure
from shared.core.threads import Pool
from shared.progress.messages import PullMessage
from shared.reports.check import check_reports
from tests.simulation.center import Run
from tests.simulation.world import Expected
from tests.support.azure_monitor import Insights, insights_settings
from tests.support.loopback import Answer, LoopbackServer
from tests.support.memory_app import memory_app
from tests.support.told import insights

ROOT = Path(__file__).parents[3]
CHECK = "00-0123456789abcdef0123456789abcdef-0123456789abcdef-01"
PULL = "00-fedcba9876543210fedcba9876543210-fedcba9876543210-01"
SECRET = "https://a.blob.core.windows.net/c/b?sv=1&sig=QZXJabcdefgh"


@pytest.fixture
def azure(tmp_path: Path) -> Iterator[Insights]:
    with insights(tmp_path) as received:
        yield received


def test_all_that_an_invocation_told_is_there_when_it_ends(azure: Insights) -> None:
    """An instance with nothing to do may be taken away: what waits in it for a minute is lost."""

    @telling_no_secret
    def reconcile(timer: object) -> None:
        events.WORK_STOPPED.tell(reason="no table")
        metrics.CABS_COPIED.record(3, family="driver")
        metrics.CABS_COPIED.record(4, family="driver")
        metrics.CABS_MISSING.record(0)
        metrics.API_DURATION.record(0.5)
        metrics.API_DURATION.record(1.5)

    reconcile("due", context=SimpleNamespace(trace_context=SimpleNamespace(trace_parent=CHECK)))  # type: ignore[call-arg]
    (event,) = azure.rows["AppEvents"]
    assert (event["Name"], event["Properties"]["reason"]) == ("work-stopped", "no table")
    assert event["OperationId"] == CHECK.split("-")[1]
    told = {row["Name"]: (row["Sum"], row["ItemCount"], row["Min"], row["Max"]) for row in azure.rows["AppMetrics"]}
    assert told == {
        "cabferry.cabs.copied": (7.0, 1, None, None),
        "cabferry.cabs.missing": (0.0, 1, None, None),
        "cabferry.api.duration": (2.0, 2, 0.5, 1.5),
    }


def test_a_pull_is_joined_to_the_check_that_asked_for_it(azure: Insights) -> None:
    with telemetry.invocation(CHECK):
        asked = PullMessage.decode(b'{"applicationId": "1", "failureHash": "a"}')
        assert asked.traceparent == "", "a message of an earlier version"
        text = PullMessage(asked.failure, None, "report 1").encode().encode()
    message = PullMessage.decode(text)
    assert message.traceparent == CHECK
    with (
        Pool(1) as copies,
        telemetry.invocation(PULL),
        telemetry.span("pull", {"pull": message.pull_id, "url": SECRET}, message.traceparent),
    ):
        events.PULL_FAILED.tell(applicationId="1", failureHash="a", pull=message.pull_id, kind="never", reason="gone")
        of_a_copy = copies.submit(telemetry.traceparent).result()
    (span,), (event,) = azure.rows["AppDependencies"], azure.rows["AppEvents"]
    assert span["OperationId"] == event["OperationId"] == of_a_copy.split("-")[1] == PULL.split("-")[1]
    assert span["Id"] == event["ParentId"] == of_a_copy.split("-")[2]
    assert span["ParentId"] == PULL.split("-")[2]
    assert CHECK.split("-")[1] in span["Properties"]["_MS.links"]
    assert span["Properties"]["pull"] == event["Properties"]["pull"] == message.pull_id


def test_where_the_host_traces_nothing_work_is_joined_all_the_same(azure: Insights) -> None:
    for number in ("1", "2"):
        with telemetry.invocation(""):
            events.WORK_STOPPED.tell(reason=number)
            assert PullMessage.decode(PullMessage(Failure("1", "a"), None, "").encode().encode()).traceparent
            with telemetry.span("pull", {"pull": number}):
                pass
    (first, second), spans = azure.rows["AppEvents"], azure.rows["AppDependencies"]
    assert [row["OperationId"] for row in (first, second)] == [row["OperationId"] for row in spans]
    assert first["OperationId"] != second["OperationId"]


def test_no_secret_leaves_in_an_attribute(azure: Insights) -> None:
    with telemetry.invocation(""):
        events.WORK_STOPPED.tell(reason=f"cannot copy {SECRET}, deviceId=4711")
        metrics.REPORT_AGE.record(1, report=SECRET)
        with pytest.raises(ConnectionError), telemetry.span("pull", {"url": SECRET}):
            raise ConnectionError(SECRET)
    assert [row["Success"] for row in azure.rows["AppDependencies"]] == [False]
    sent = str(azure.sent)
    assert "[redacted]" in sent
    assert "QZXJ" not in sent
    assert "4711" not in sent


def test_a_trace_that_somebody_made_up_is_not_followed() -> None:
    made_up = b'{"applicationId": "1", "failureHash": "a", "traceparent": "00-1-2\\r\\nx-ms-copy-source: b"}'
    assert PullMessage.decode(made_up).traceparent == ""


def test_an_ingestion_that_does_not_answer_holds_up_nothing(tmp_path: Path) -> None:
    """Neither the end of an invocation nor that of its process: the host would kill what does not stop."""
    may_answer = threading.Event()

    def slow(_: object) -> Answer:
        may_answer.wait(60)
        return Answer(status=500)

    code = (
        "import time; from shared.core import events, telemetry\n"
        "telemetry.made(); began = time.monotonic()\n"
        "with telemetry.invocation(''):\n    events.WORK_STOPPED.tell(reason='x')\n"
        "print(time.monotonic() - began)"
    )
    with LoopbackServer(slow) as server:
        environment = {**os.environ, **insights_settings(server.url, tmp_path)}
        try:
            done = subprocess.run(
                [sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, check=True, timeout=50
            )
        finally:
            may_answer.set()
    assert float(done.stdout) < 4


def test_what_is_not_needed_is_not_imported() -> None:
    """A cold start, and an app outside of Azure, must not pay for OpenTelemetry."""
    code = (
        "import sys; import function_app; from shared.core import events; events.WORK_STOPPED.tell(reason='x')\n"
        "sys.exit(any(name.startswith('opentelemetry') for name in sys.modules))"
    )
    environment = {name: value for name, value in os.environ.items() if not name.startswith("APPLICATIONINSIGHTS")}
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=environment, check=True, capture_output=True)


def test_what_was_done_is_measured(tmp_path: Path) -> None:
    """A pull that brings five cabs in runs that end too soon, and is told to wait; a report of an hour ago."""
    failure = Failure("1", "failure")
    with insights(tmp_path) as azure, memory_app() as app:
        tasks = app.world.tasks
        cabs = app.serve(failure, 3)
        made_at = tasks.now() - timedelta(hours=1)
        app.world.center.runs.append(Run(made_at, tuple(cabs), is_finished=True))
        # What the first run brought is in its row, and the second one says that it is complete.
        app.world.expecting.append(Expected("write", "(Completed", "busy"))
        app.pull(failure)
        app.work_off()
        app.serve(failure, 2)
        app.world.expecting.append(Expected("devcenter", "cabdownloadbatch", "throttled"))
        app.request(failure)
        app.work_off()
        app.do(lambda: check_reports(app.host.report_tools))
        app.request(failure)
        checked_at = tasks.now()
        tasks.seconds += 7200
        app.reconcile()
        waited = (tasks.now() - checked_at).total_seconds()
    measured: dict[str, dict[str, float]] = {}
    for row in azure.rows["AppMetrics"]:
        by = measured.setdefault(row["Name"], {})
        what = " ".join(row["Properties"].values())
        by[what] = by.get(what, 0) + row["Sum"]
    age, oldest = measured.pop("cabferry.report.age"), measured.pop("cabferry.pulls.oldest_queued")
    assert 3600 < age["1"] <= (checked_at - made_at).total_seconds()
    assert 7200 <= oldest[""] <= waited
    assert measured.pop("cabferry.api.throttled")[""] >= 1
    for name in ("cabferry.api.duration", "cabferry.pull.duration", "cabferry.check.duration"):
        assert all(value > 0 for value in measured.pop(name).values())
    assert measured == {
        "cabferry.api.calls": {"200": 6, "429": 1},
        "cabferry.copies": {"direct": 5},
        "cabferry.cabs.copied": {"driver": 5},
        "cabferry.cabs.bytes": {"driver": sum(len(cab.content) for cab in app.world.center.cabs.values())},
        "cabferry.pulls.ended": {"driver Queued": 2, "driver Completed": 2},
        "cabferry.pulls": {"Queued": 1, "Running": 0, "Completed": 0, "Failed": 0},
        "cabferry.cabs.missing": {"": 0},
        "cabferry.cabs.expiring": {"": 0},
        "cabferry.messages.kept": {"": 0},
    }
    # Of these nothing came, so that nothing was sent.
    unseen = {"cabferry.cabs.expired", "cabferry.cabs.failed", "cabferry.cabs.lost"}
    assert {each.name for each in metrics.METRICS} - {row["Name"] for row in azure.rows["AppMetrics"]} == unseen


def test_checks_that_are_switched_off_are_no_silence(caplog: pytest.LogCaptureFixture) -> None:
    """The alert that misses a check would tell for ever, and nobody would read it any more."""
    caplog.set_level(logging.INFO)
    with memory_app(REPORT_IDS="none") as app:
        app.do(lambda: check_reports(app.host.report_tools))
    assert "reports-checked: runs=0 failed=0" in caplog.messages
