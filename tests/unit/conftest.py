"""What holds for each unit test."""

import pytest

from shared.core import redaction


@pytest.hookimpl(trylast=True)  # A game has locks of its own until its fixture is over.
def pytest_runtest_teardown() -> None:
    """Forget the secrets that a test has named: one that draws settings may take the name of a container for one."""
    redaction._known = redaction._KnownSecrets()
