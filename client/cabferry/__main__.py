"""The command line. What a command needs is imported when it runs, so that `--help` and completions are quick."""

from __future__ import annotations

import argparse
import importlib
import io
import logging
import os
import sys
import traceback
from pathlib import Path

from .problems import Exit, ProblemError

_EPILOG = """\
exit codes: 0 done; 1 unexpected; 2 wrong use; 3 nothing found; 4 not signed in or not allowed; 5 cannot be reached;
6 some cabs failed, the others are there; 7 the app is not well or a pull did not complete; 130 Ctrl-C"""
_SHELLS = ("bash", "zsh", "fish", "powershell")


def main(arguments: list[str] | None = None) -> int:
    """Run one command; return its exit code."""
    parser = _parser()
    _complete(parser)
    parsed = parser.parse_args(arguments)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a console of Windows knows few letters
    os.umask(0o077)  # a dump can hold personal data: what this writes is its user's alone
    logging.basicConfig(format="cabferry: %(message)s", level=logging.WARNING)
    try:
        if parsed.command == "completion":
            from argcomplete.shell_integration import shellcode

            print(shellcode(["cabferry"], shell=parsed.shell))
            return Exit.DONE
        return int(importlib.import_module(f".{parsed.command}", "cabferry").run(parsed))
    except ProblemError as problem:
        print(f"cabferry: {problem}", file=sys.stderr)
        return problem.exit_code
    except KeyboardInterrupt:
        print("cabferry: stopped; the same again goes on", file=sys.stderr)
        return Exit.INTERRUPTED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return Exit.DONE
    except Exception as error:  # noqa: BLE001 - its text may hold a URL with what signs it, so only its place is told
        print(f"cabferry: unexpected {type(error).__name__}; please report it with these lines:", file=sys.stderr)
        for frame in traceback.extract_tb(error.__traceback__):
            print(f"  {Path(frame.filename).name}:{frame.lineno} {frame.name}", file=sys.stderr)
        return Exit.UNEXPECTED


def _complete(parser: argparse.ArgumentParser) -> None:
    """Answer a shell that asks what may follow."""
    if "_ARGCOMPLETE" in os.environ:
        import argcomplete

        argcomplete.autocomplete(parser)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="cabferry",
        description="Find, fetch and unpack the failure cabs of your drivers and applications.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    shared = argparse.ArgumentParser(add_help=False)
    shared.add_argument("--json", action="store_true", help="answer as JSON, times in UTC")
    container = argparse.ArgumentParser(add_help=False)
    container.add_argument("--container", metavar="URL", help="the cab container's URL (or CABFERRY_CONTAINER)")
    container.add_argument("--parallel", type=_positive, default=8, metavar="N", help="requests side by side (8)")
    app = argparse.ArgumentParser(add_help=False)
    app.add_argument("--url", help="the app's address (or CABFERRY_URL)")
    filters = argparse.ArgumentParser(add_help=False)
    filters.add_argument("--version", metavar="GLOB", help="driver version, such as '1.13.*'")
    filters.add_argument("--os", metavar="OS", help="Windows release, build or glob: 24H2, 26100, '10.0.2*'")
    filters.add_argument("--since", type=_since, metavar="AGE", help="crashes of the last 7d, 12h, or since 2026-11-01")

    failures = commands.add_parser("failures", parents=[shared, container, filters], help="list failures")
    failures.add_argument("--driver", metavar="GLOB", help="driver, file or package, such as acme.sys")
    get = commands.add_parser("get", parents=[shared, container, filters], help="fetch, check and unpack cabs")
    _wanted(get, "a failure's name, a driver, a glob of either, or the start of a hash")
    get.add_argument("--arch", dest="architecture", metavar="GLOB", help="such as x64")
    get.add_argument("--type", dest="cab_type", metavar="GLOB", help="such as kernel or mini")
    get.add_argument("--newest", type=_positive, metavar="N", help="only the newest N")
    get.add_argument("-o", "--output", type=Path, default=Path(), metavar="DIR", help="where to (this folder)")
    get.add_argument("--keep-archive", action="store_true", help="keep the archive beside its folder")
    get.add_argument("--max-unpacked", type=float, default=64.0, metavar="GIB", help="what one archive may become (64)")
    show = commands.add_parser("show", parents=[shared, container], help="tell about one cab, from its dump's header")
    _wanted(show, "the start of a cab's hash; of a failure or driver, the newest cab")
    pull = commands.add_parser("pull", parents=[shared, container, app], help="ask the app for a failure's cabs now")
    pull.add_argument("wanted", nargs="+", metavar="NAME-OR-HASH", help="as for get; or whole hashes of --application")
    pull.add_argument("--application", metavar="ID", help="of failures that are in no catalog yet")
    pull.add_argument("--wait", action="store_true", help="until the pulls have ended")
    pull.add_argument("--timeout", type=float, default=3600.0, metavar="SECONDS", help="how long to wait (3600)")
    watch = commands.add_parser("watch", parents=[shared, app], help="tell of new cabs as they come")
    watch.add_argument("--driver", metavar="GLOB", help="only of this driver")
    watch.add_argument("--version", metavar="GLOB", help="only of these versions")
    watch.add_argument("--every", type=float, default=30.0, metavar="SECONDS", help="how often to ask (30)")
    report = commands.add_parser("report", parents=[shared, app], help="make, list, pause and resume driver reports")
    wishes = ("schedules", "templates", "create", "pause", "resume", "status")
    report.add_argument("wish", choices=wishes, help="what to do; `status` tells the runs that the app has seen")
    report.add_argument("report", nargs="?", metavar="REPORT-ID", help="which one to pause or resume")
    report.add_argument("--every", type=_positive, metavar="HOURS", help="from run to run, 12 or more (24)")
    report.add_argument("--runs", type=_positive, metavar="N", help="how many runs there shall be (365)")
    report.add_argument("--start", metavar="TIME", help="of the first, such as 2026-12-01T03:00:00Z (soon)")
    report.add_argument("--template", metavar="ID", help="what it is made of (all columns that the app shows)")
    commands.add_parser("status", parents=[shared, app], help="tell how the app stands")
    completion = commands.add_parser("completion", help="print what makes a shell complete this command")
    completion.add_argument("shell", choices=_SHELLS)
    return parser


def _wanted(parser: argparse.ArgumentParser, help_text: str) -> None:
    parser.add_argument("wanted", metavar="NAME-OR-HASH", help=help_text)


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be 1 or more")
    return number


def _since(text: str) -> int:
    from .choice import moment_since

    try:
        return moment_since(text)
    except (ValueError, OverflowError):
        raise argparse.ArgumentTypeError(
            f"{text!r} is neither an age such as 7d nor a date such as 2026-11-01"
        ) from None


if __name__ == "__main__":
    sys.exit(main())
