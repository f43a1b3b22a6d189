"""Call the simulator as a client would: a session with a token, pages followed by their links."""

from dataclasses import dataclass
from typing import Any
from urllib.parse import urljoin

import requests

from local.simulator.catalogue import FailureKey
from local.simulator.thread import SimulatorThread

TIMEOUT = 30


@dataclass(frozen=True, slots=True)
class ApiClient:
    """A client of one simulator.

    Args:
        simulator: What is called.
        session: Carries the token.
    """

    simulator: SimulatorThread
    session: requests.Session

    def get(self, path: str, **query: str | int) -> requests.Response:
        """Call a path, without following redirects."""
        url = self.simulator.url + path
        return self.session.get(url, params=query, timeout=TIMEOUT, allow_redirects=False)

    def batch(self, key: FailureKey, **query: str | int) -> requests.Response:
        """Ask for a page of a failure's cabs."""
        path = "/v1.0/my/analytics/driver/cabdownloadbatch"
        return self.get(path, applicationId=key.application_id, failureHash=key.failure_hash, **query)

    def rows(self, key: FailureKey) -> list[dict[str, Any]]:
        """Return the rows of all pages, led by the links as the documentation has them."""
        answer = self.batch(key)
        rows: list[dict[str, Any]] = []
        while True:
            body = answer.json()
            rows += body["Value"]
            link = body.get("@nextLink")
            if link is None:
                return rows
            answer = self.session.get(urljoin(f"{self.simulator.url}/v1.0/my/analytics/", link), timeout=TIMEOUT)

    def runs(self, report_id: int, **query: str) -> list[dict[str, str]]:
        """Return the runs of a report."""
        body = self.get(f"/analytics/driver/reportdata/{report_id}", **query).json()
        runs: list[dict[str, str]] = body["data"]
        return runs
