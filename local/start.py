"""`python3 dev.py start`: the app until Ctrl-C, on what is named, else on the embedded default."""

import sys

from local.azurite.install import InstallError
from local.azurite.server import AzuriteError
from local.host.run import run_host
from local.paths import ROOT
from local.surroundings import SettingsFileError, surroundings


def start_app(port: int, log_level: str) -> int:
    """Run the app.

    Args:
        port: On 127.0.0.1; 0 takes a free one.
        log_level: A name of the logging module's levels.

    Returns:
        The exit code.
    """
    try:
        with surroundings(_say):
            _say("POST /api/reports/check starts the pulls, GET /api/pulls shows them")
            return run_host(ROOT, port, log_level)
    except (SettingsFileError, InstallError, AzuriteError) as error:
        print(f"start: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def _say(text: str) -> None:
    print(f"start: {text}", flush=True)
