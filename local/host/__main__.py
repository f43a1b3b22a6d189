"""The command line: `python -m local.host --app DIRECTORY --port 7071`."""

import argparse
import sys
from pathlib import Path

from local.host.run import run_host


def main() -> int:
    """Run an app until a signal comes or it cannot go on."""
    parser = argparse.ArgumentParser(prog="python -m local.host", description="Run an Azure Functions app locally.")
    parser.add_argument("--app", type=Path, default=Path(), help="directory with function_app.py and host.json")
    parser.add_argument("--port", type=int, default=7071, help="on 127.0.0.1; 0 takes a free one (default: 7071)")
    parser.add_argument("--log-level", default="INFO", choices=("DEBUG", "INFO", "WARNING", "ERROR"))
    arguments = parser.parse_args()
    return run_host(arguments.app, arguments.port, arguments.log_level)


if __name__ == "__main__":
    sys.exit(main())
