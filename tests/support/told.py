"""What the parts of the app tell Azure Monitor, when a test runs them in its own process."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import patch

from shared.core import telemetry
from tests.support.azure_monitor import Insights, insights_settings
from tests.support.loopback import LoopbackServer


@contextmanager
def insights(folder: Path) -> Iterator[Insights]:
    """Let the app tell an Application Insights of this machine; all of it has come when the context has ended.

    Args:
        folder: For what could not be sent.
    """
    received = Insights()
    with LoopbackServer(received.answer) as server, patch.dict(os.environ, insights_settings(server.url, folder)):
        telemetry.made.cache_clear()
        try:
            yield received
        finally:
            if monitor := telemetry.made():
                monitor.close()
            telemetry.made.cache_clear()
