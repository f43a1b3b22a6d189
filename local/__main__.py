"""The local commands behind dev.py: `python -m local demo`, `python -m local start`."""

import argparse
import sys


def main() -> int:
    """Read the command line and run the command; each imports only what it needs."""
    parser = argparse.ArgumentParser(prog="python3 dev.py")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    commands.add_parser("demo", help="run everything once on the embedded default, and check every copied cab")
    start = commands.add_parser("start", help="run the app until Ctrl-C")
    start.add_argument("--port", type=int, default=7071, help="on 127.0.0.1; 0 takes a free one (default: 7071)")
    start.add_argument("--log-level", default="INFO", choices=("DEBUG", "INFO", "WARNING", "ERROR"))
    options = parser.parse_args()
    if options.command == "demo":
        from local.demo import demo

        return demo()
    from local.start import start_app

    return start_app(options.port, options.log_level)


if __name__ == "__main__":
    sys.exit(main())
