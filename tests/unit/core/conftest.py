"""What tests of redaction begin with."""

import pytest

from shared.core import redaction


@pytest.fixture
def known(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that knows no secret yet."""
    monkeypatch.setattr(redaction, "_known", redaction._KnownSecrets())
