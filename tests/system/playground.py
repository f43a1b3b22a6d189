"""A storage account, a Dev Center and the app between them."""

import secrets
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from zlib import crc32

from local.azurite.access_log import StorageRequest
from local.azurite.server import Azurite
from local.simulator.builder import CabForm
from local.simulator.catalogue import Cab, Failure, FailureKey, Held
from local.simulator.faults import Call, Fault, FaultKind
from local.simulator.ledger import SeenRequest
from local.simulator.thread import SimulatorThread
from tests.support.azurite import SOURCES, StorageAccount
from tests.support.waiting import DEADLINE_SECONDS, wait_until
from tests.system.answers import Pull, ReportCheck, Run, decoded
from tests.system.app import ROOT, App
from tests.system.stored import QUEUE, Stored, creations

# A schedule that does not come while a test runs.
NEVER = "0 0 0 29 2 *"
ENDED = {"Completed", "Failed"}
SMALL = CabForm((64, 64))


class Playground:
    """Everything that a test of the whole app needs.

    Args:
        azurite: Where the account is.
        storage: The account that the app fills.
        simulator: The Dev Center that the app asks.
        access_token: What the app signs in with; None leaves the sign-in to the settings of `start`.
        folder: Where the apps' logs go.
    """

    def __init__(
        self,
        azurite: Azurite,
        storage: StorageAccount,
        simulator: SimulatorThread,
        access_token: str | None,
        folder: Path,
    ) -> None:
        self.simulator, self.storage = simulator, storage
        self.stored = Stored(storage.connection_string)
        self.apps: list[App] = []
        self._azurite, self._folder, self._numbers = azurite, folder, count()
        self._may_raise: list[App] = []
        self._settings = {
            "CAB_STORAGE": storage.connection_string,
            "CAB_SOURCE_HOSTS": "127.0.0.1",
            "DEVCENTER_BASE_URL": simulator.url,
            "LOCAL_MESSAGE_LEASE_SECONDS": "10",
            "PULL_LEASE_SECONDS": "10",
            "PULL_MAX_ATTEMPTS": "2",
            "RECONCILE_SCHEDULE": NEVER,
            "FAILURE_POLL_SCHEDULE": NEVER,
            "REPORT_POLL_SCHEDULE": NEVER,
            **({} if access_token is None else {"DEVCENTER_ACCESS_TOKEN": access_token}),
        }

    def start(self, settings: Mapping[str, str] | None = None, *, root: Path = ROOT, may_raise: bool = False) -> App:
        """Start the app, on this account and this Dev Center.

        Args:
            settings: App settings, over those of the playground.
            root: The project that is run.
            may_raise: Whether a function may end with an exception; elsewhere a traceback in the log fails the test.
        """
        # Tests start several side by side: each has a number and a log of its own, which tells its port.
        log = self._folder / f"app-{next(self._numbers)}.log"
        app = App({**self._settings, **(settings or {})}, log, root)
        self.apps.append(app)
        if may_raise:
            self._may_raise.append(app)
        return app

    def close(self) -> None:
        """End every app that still runs, and look into the logs for what nobody foresaw."""
        for app in self.apps:
            app.close()
        self.stored.__exit__(None, None, None)
        for app in self.apps:
            assert app in self._may_raise or "Traceback" not in app.log, app.log
            assert app.leaked() == []

    def failure(self, cabs: int, form: CabForm | None = None) -> Failure:
        """Add a failure with so many cabs, and publish it."""
        made = self.simulator.builder.failure(cabs, form)
        self.simulator.publish()
        return made

    def long_failure(self, cabs: int, copied: int = 12) -> Failure:
        """Add a failure with many cabs, and publish it.

        Args:
            cabs: How many.
            copied: How many of them can be had; the others cost no request but their place on a page, and have rows.
        """
        failure = self.simulator.builder.failure(copied, SMALL)
        self.simulator.builder.cabs(failure, cabs - copied, CabForm((64, 64), stored=False, downloadable=False))
        self.simulator.publish()
        return failure

    def ask(self, app: App, *failures: Failure, window: Mapping[str, str] | None = None) -> None:
        """Ask for pulls, one request for each application.

        Args:
            app: Whom to ask.
            failures: What to pull.
            window: `startDate` and `endDate`; None leaves them to the app.
        """
        hashes: dict[str, list[str]] = {}
        for failure in failures:
            hashes.setdefault(failure.key.application_id, []).append(failure.key.failure_hash)
        for application_id, of_one in hashes.items():
            body = {"applicationId": application_id, "failureHashes": of_one, **(window or {})}
            answer = app.post("/api/pulls", body)
            assert answer.status_code == 202, answer.text

    def pull(self, app: App, *failures: Failure, window: Mapping[str, str] | None = None) -> list[Pull]:
        """Ask for pulls and wait for their ends; return how the API tells them, in the order of the failures."""
        self.ask(app, *failures, window=window)
        return self.ends(app, *failures)

    def ends(self, app: App, *failures: Failure, seconds: float = DEADLINE_SECONDS) -> list[Pull]:
        """Wait until pulls have ended; return how the API tells them, in the order of the failures."""
        for failure in failures:
            self.wait_for_state(failure.key, ENDED, seconds)
        return [self.told(app, failure) for failure in failures]

    def told(self, app: App, failure: Failure) -> Pull:
        """Return how the API tells a pull."""
        return decoded(app.get(f"/api/pulls/{failure.key.application_id}/{failure.key.failure_hash}"), Pull)

    def wait_for_state(self, key: FailureKey, states: set[str], seconds: float = DEADLINE_SECONDS) -> None:
        """Wait until the row of a pull says one of some states."""
        wait_until(
            lambda: self.stored.pull(key).get("state") in states,
            f"{key} in {states}",
            seconds,
            lambda: "\n".join(app.log for app in self.apps),
        )

    def wait_for_empty_queue(self, queue: str = QUEUE) -> None:
        """Wait until a queue holds no message, not even one that was taken or waits."""
        wait_until(lambda: not self.stored.messages(queue), f"an empty {queue}", hint=lambda: self.apps[-1].log)

    def check(self, app: App) -> dict[str, Run]:
        """Check the reports, and return what was done with each, by report id (of its last run)."""
        told = self.checked(app)
        assert told.state == "Completed", told
        return {run.report_id: run for run in told.runs}

    def checked(self, app: App) -> ReportCheck:
        """Let the reports be checked, and return how that ended, well or not."""
        answer = app.post("/api/reports/check")
        assert answer.status_code == 202, answer.text
        assert answer.json() == {"location": answer.headers["Location"]}

        def told() -> ReportCheck:
            return decoded(app.get(answer.headers["Location"]), ReportCheck)

        wait_until(lambda: told().ended_at, "the end of a check", hint=lambda: app.log)
        return told()

    def fail(self, failure: Failure, kind: FaultKind, times: int | None = 1, delay: float = 1.0, **query: str) -> None:
        """Let a failure's cab batch go wrong.

        Args:
            failure: Whose.
            kind: How.
            times: How often; None means every time.
            delay: Seconds, for what is slow.
            query: Only requests with these parameters too.
        """
        match = {"failureHash": failure.key.failure_hash, **query}
        self.simulator.faults.add(Fault(call=Call.CAB_BATCH, kind=kind, times=times, delay=delay, match=match))

    def held(self, *failures: Failure) -> dict[str, Held]:
        """Return what the container must hold of failures: each cab's blob name, length and MD5."""
        world = self.simulator.world
        cabs = [cab for failure in failures for cab in world.cabs(failure.key)]
        return {blob_name(cab): world.held[cab.cab_id_hash] for cab in cabs if cab.cab_id_hash in world.held}

    def storage_requests(self) -> Sequence[StorageRequest]:
        """Return every request that the account was asked so far."""
        return self._azurite.requests(self.storage.name)

    def assert_copied_once(self, *failures: Failure, only: bool = True) -> None:
        """Fail unless the container holds exactly the cabs of failures, and each was made once.

        Args:
            failures: Whose cabs.
            only: Whether the container may hold nothing else.
        """
        expected, listed, made = self.held(*failures), self.stored.listed(), creations(self.storage_requests())
        if not only:
            prefixes = tuple(f"{each.key.application_id}/{each.key.failure_hash}/" for each in failures)
            listed = {name: blob for name, blob in listed.items() if name.startswith(prefixes)}
            made = Counter({name: times for name, times in made.items() if name.startswith(prefixes)})
        assert listed == expected
        assert made == dict.fromkeys(expected, 1)

    def api_requests(self, failure: Failure) -> list[SeenRequest]:
        """Return the requests for a failure's cab batch so far, in order."""
        return [
            request
            for request in tuple(self.simulator.ledger.requests)
            if request.call is Call.CAB_BATCH and request.query.get("failureHash") == failure.key.failure_hash
        ]


def blob_name(cab: Cab) -> str:
    """Return where a cab must stand in the container."""
    return f"{cab.failure.application_id}/{cab.failure.failure_hash}/{cab.place.name}"


@contextmanager
def simulated(azurite: Azurite, seed: str) -> Iterator[tuple[SimulatorThread, str]]:
    """Run a Dev Center with a token of its own; an unexpected error in it fails the test."""
    sources, token = {name: azurite.connection_string(name) for name in SOURCES}, secrets.token_urlsafe(24)
    with SimulatorThread(sources, token, seed=crc32(seed.encode())) as simulator:
        yield simulator, token
    assert not simulator.ledger.problems
