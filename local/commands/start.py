"""`python3 dev.py start`: the app until Ctrl-C, on what is named, else on the embedded default."""

import os
import shutil
import sys

from local.child import ChildError
from local.commands.running import forget, note, running_app
from local.commands.surroundings import SettingsFileError, surroundings
from local.host.errors import StartError
from local.host.host import raise_if_taken
from local.host.run import run_host
from local.install import InstallError
from local.paths import LOCAL, ROOT


def start_app(port: int, log_level: str) -> int:
    """Run the app.

    Args:
        port: On 127.0.0.1; 0 takes a free one.
        log_level: A name of the logging module's levels.

    Returns:
        The exit code.
    """
    # What opens the storage of an app that runs already stays its own.
    other = LOCAL / f"start-{os.getpid()}"
    try:
        raise_if_taken(port)
        with surroundings(_say, lambda: other if running_app() else LOCAL) as simulator:
            if not any(name.startswith("DEVCENTER_") for name in os.environ):
                _say(
                    "CAB_STORAGE is set, and nothing of the Dev Center: set DEVCENTER_TENANT_ID, DEVCENTER_CLIENT_ID "
                    "and DEVCENTER_CLIENT_SECRET as well (docs/deploy.md), or unset CAB_STORAGE for a playground"
                )
            return run_host(ROOT, port, log_level, lambda url: _started(url, simulator))
    except (StartError, SettingsFileError, InstallError, ChildError) as error:
        print(f"start: {error}", file=sys.stderr)
        return 1
    finally:
        forget()
        shutil.rmtree(other, ignore_errors=True)


def _started(url: str, simulator: str) -> None:
    """Print where to look and what to try, whatever the log's level."""
    note(url)
    _say(f"the app runs at {url} until Ctrl-C")
    _say(f"  dashboard  {url}/api/dashboard")
    _say(f"  health     {url}/api/health")
    if simulator:
        _say(f"  simulator  {simulator}")
    _say("try, some seconds apart:")
    _say(f"  curl -X POST {url}/api/reports/check")
    _say(f'  curl "{url}/api/failures?limit=5"')
    _say(f"  curl {url}/api/summary")


def _say(text: str) -> None:
    print(f"start: {text}", flush=True)
