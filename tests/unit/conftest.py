"""What holds for each unit test."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from shared.core import redaction

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from local.simulator.certificates import Certificates
    from tests.support.memory_app import MemoryApp


@pytest.hookimpl(trylast=True)  # A game has locks of its own until its fixture is over.
def pytest_runtest_teardown() -> None:
    """Forget the secrets that a test has named: one that draws settings may take the name of a container for one."""
    redaction._known = redaction._KnownSecrets()


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a developer's own proxy see no test, and look up no name for one."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@pytest.fixture
def app() -> Iterator[MemoryApp]:
    """The app on storage in memory, of which nothing is known yet."""
    from tests.support.memory_app import memory_app

    with memory_app() as made:
        yield made


@pytest.fixture
def certificates(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Certificates:
    """A certificate for loopback that this test trusts: a token goes over HTTPS alone."""
    from local.simulator.certificates import make_certificates

    made = make_certificates(tmp_path)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(made.authority))
    return made
