"""The local commands behind dev.py: `python -m local demo`, `python -m local start`."""

import argparse
import sys
from pathlib import Path
from typing import NoReturn

from local.commands.address import address

_LARGEST_PORT = 65_535


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one line; the usage is behind --help."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message}; --help tells more\n")


def main() -> int:
    """Read the command line and run the command; each imports only what it needs."""
    parser = _Parser(prog="python3 dev.py")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    commands.add_parser("demo", help="run everything once on the embedded default, and check every copied cab")
    start = commands.add_parser("start", help="run the app until Ctrl-C")
    start.add_argument("--port", type=_port, default=7071, help="on 127.0.0.1; 0 takes a free one (default: 7071)")
    start.add_argument("--log-level", default="INFO", choices=("DEBUG", "INFO", "WARNING", "ERROR"))
    preflight = commands.add_parser("preflight", help="ask everything that the app needs, and say what to do")
    preflight.add_argument(
        "--url", type=address, help="of a deployed app, whose function key CABFERRY_FUNCTION_KEY holds"
    )
    app = _Parser(add_help=False)
    app.add_argument("--url", type=address, help="of the app (default: the one that runs here)")
    app.add_argument(
        "--key-from-environment",
        metavar="NAME",
        default="CABFERRY_FUNCTION_KEY",
        help="which variable holds the function key of a deployed app (default: CABFERRY_FUNCTION_KEY)",
    )
    redrive = commands.add_parser("redrive", parents=[app], help="send every Failed pull of an app back to its queue")
    plan = commands.add_parser(
        "plan", parents=[app], help="tell what the next run would take, and what the rules leave out"
    )
    plan.add_argument("--rules", type=Path, metavar="FILE", help="plan with this file, which is not uploaded yet")
    redrive.add_argument("--dry-run", action="store_true", help="tell what would be done, and do nothing")
    options = parser.parse_args()
    try:
        return _run(options)
    except KeyboardInterrupt:
        print(f"\n{options.command}: stopped", file=sys.stderr)
        return 130


def _run(options: argparse.Namespace) -> int:
    if options.command == "demo":
        from local.commands.demo import demo

        return demo()
    if options.command == "preflight":
        from local.commands.preflight import preflight as ask

        return ask(options.url)
    if options.command == "redrive":
        from local.commands.redrive import redrive as send_back

        return send_back(options.url, options.key_from_environment, dry_run=options.dry_run)
    if options.command == "plan":
        from local.commands.plan import plan

        return plan(options.url, options.key_from_environment, options.rules)
    from local.commands.start import start_app

    return start_app(options.port, options.log_level)


def _port(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) > _LARGEST_PORT:
        raise argparse.ArgumentTypeError(f"{text!r} is no port: a whole number from 0 to {_LARGEST_PORT:,}")
    return int(text)


if __name__ == "__main__":
    sys.exit(main())
