"""A client for the simulator of the test."""

from collections.abc import Iterator

import pytest
import requests

from local.simulator.thread import SimulatorThread

from .api_client import ApiClient


@pytest.fixture
def api(simulator: SimulatorThread, access_token: str) -> Iterator[ApiClient]:
    """A client that carries the token which the simulator wants."""
    with requests.Session() as session:
        session.headers["Authorization"] = f"Bearer {access_token}"
        yield ApiClient(simulator, session)
