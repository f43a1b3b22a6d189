"""`python3 dev.py report`: what `cabferry report` does (client/cabferry/report.py), for the app that runs here."""

import argparse
import os
import sys

from local.commands.running import running_app
from local.paths import ROOT

_KEY = "CABFERRY_FUNCTION_KEY"


def main() -> int:
    """Hand on what was typed, with the app and its key where it names neither; return the exit code."""
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--url")
    parser.add_argument("--key-from-environment", metavar="NAME", default=_KEY)
    known, rest = parser.parse_known_args()
    if not known.url and not {"-h", "--help"} & {*rest}:
        known.url = running_app()
        if not known.url:
            print(
                "report: no app runs here: `python3 dev.py start` starts one, and --url names another", file=sys.stderr
            )
            return 1
        print(f"report: asking the app that runs at {known.url}", file=sys.stderr)
    os.environ[_KEY] = os.environ.get(known.key_from_environment, "")
    # The client is a package of its own, which is installed nowhere here.
    sys.path.insert(0, str(ROOT / "client"))
    from cabferry.__main__ import main as cabferry

    return cabferry(["report", *(("--url", known.url) if known.url else ()), *rest])


if __name__ == "__main__":
    sys.exit(main())
