"""`cabferry get`: fetch cabs, check them, and unpack them into FAILURE/VERSION/DATE_cab/."""

from __future__ import annotations

import json
import re
import shutil
import sys
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from dataclasses import dataclass
from threading import Event
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

from .catalog import read_catalog
from .choice import Filters, chosen, short_hashes
from .container import open_container
from .download import DamagedError, StoppedError, download
from .moments import moment_text
from .names import safe_name
from .output import answer, answer_json, day, say, size
from .problems import Exit, ProblemError
from .unpack import FORMS, ArchiveError, form_of, unpack

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from azure.storage.blob import ContainerClient

    from .catalog import Cab

_NOTE = "cabferry.json"
_GIB = 1 << 30
# What needs no quotes in cmd, PowerShell and other shells; what quotes do not help against is in no name (names.py).
_PLAIN = re.compile(r"[\w.:/\\+-]+")


@dataclass(frozen=True, slots=True)
class Got:
    """What became of a cab.

    Args:
        cab: The cab.
        folder: Where it is unpacked.
        dumps: The dumps in it.
        error: Why it is not; empty where it is.
    """

    cab: Cab
    folder: Path
    dumps: Sequence[Path] = ()
    error: str = ""

    def told(self) -> dict[str, object]:
        """Return it as JSON tells it."""
        return {
            "cabIdHash": self.cab.cabIdHash,
            "failureName": self.cab.failureName,
            "driverVersion": self.cab.driverVersion,
            "folder": str(self.folder),
            "dumps": [str(path) for path in self.dumps],
            "windbg": [windbg_line(path) for path in self.dumps],
            "deleteBy": moment_text(self.cab.retiresAt),
            "error": self.error or None,
        }


def run(arguments: argparse.Namespace) -> Exit:
    """Fetch the cabs that fit, newest first; one that fails stops no other."""
    container = open_container(arguments.container)
    cabs = read_catalog(container, arguments.parallel)
    fitting = [cab for cab in chosen(cabs, arguments.wanted) if Filters.of(arguments).take(cab)]
    held = sorted((cab for cab in fitting if cab.is_held), key=lambda cab: cab.date or 0, reverse=True)
    wanted = held[: arguments.newest]
    if not wanted:
        raise ProblemError(
            Exit.NOTHING_FOUND,
            f"{len(fitting)} cabs are known, and the container holds none of them (any more)"
            if fitting
            else "no cab of it fits the options",
        )
    total = sum(cab.length or 0 for cab in wanted)
    say(f"{len(wanted)} of {len(fitting)} cabs, {size(total)}, into {arguments.output.absolute()}")
    short = short_hashes({cab.cabIdHash for cab in cabs})
    work = _Work(container, arguments, short, max(1, arguments.parallel // len(wanted)))
    try:
        arguments.output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ProblemError(Exit.WRONG_USE, f"{arguments.output} cannot be a folder: {error.strerror}") from None
    free = shutil.disk_usage(arguments.output).free
    if total > free:
        raise ProblemError(Exit.NOT_ALL, f"the disk has {size(free)} free: choose fewer (--newest), or another -o")
    found = _all(work, wanted, total)
    if arguments.json:
        answer_json([each.told() for each in found])
    else:
        _tell(found)
    failed = sum(bool(each.error) for each in found)
    if failed:
        say(f"{failed} of {len(found)} cabs failed; run the same again to go on")
    return Exit.NOT_ALL if failed else Exit.DONE


def windbg_line(dump: Path) -> str:
    """Return the command that opens a dump."""
    return f"windbg -z {dump}" if _PLAIN.fullmatch(str(dump)) else f'windbg -z "{dump}"'


def _all(work: _Work, wanted: Sequence[Cab], total: int) -> list[Got]:
    """Work on all cabs side by side, and show how far it is."""
    columns = (
        *(TextColumn("{task.description}"), BarColumn(), DownloadColumn()),
        *(TransferSpeedColumn(), TimeRemainingColumn()),
    )
    with (
        Progress(*columns, console=Console(stderr=True), disable=not sys.stderr.isatty()) as progress,
        ThreadPoolExecutor(min(work.parallel, len(wanted))) as pool,
    ):
        task = progress.add_task(f"0/{len(wanted)}", total=total)
        futures = [pool.submit(work.one, cab, lambda count: progress.advance(task, count)) for cab in wanted]
        pending = set(futures)
        try:
            while pending:
                # Windows tells of Ctrl-C only between waits.
                _, pending = wait(pending, timeout=0.5, return_when=FIRST_COMPLETED)
                progress.update(task, description=f"{len(wanted) - len(pending)}/{len(wanted)}")
        except KeyboardInterrupt:
            # What came so far stays, for the next time.
            work.stop.set()
            pool.shutdown(wait=True, cancel_futures=True)
            raise
    return [future.result() for future in futures]


class _Work:
    """Fetch and unpack one cab after the other, from several threads."""

    def __init__(
        self, container: ContainerClient, arguments: argparse.Namespace, short: dict[str, str], ranges: int
    ) -> None:
        self.stop = Event()
        self.parallel: int = arguments.parallel
        self._container, self._short, self._ranges = container, short, ranges
        self._output: Path = arguments.output.absolute()
        self._keep: bool = arguments.keep_archive
        self._limit = int(arguments.max_unpacked * _GIB)

    def one(self, cab: Cab, advance: Callable[[int], None]) -> Got:
        """Fetch and unpack a cab, unless it is here."""
        folder = self._folder(cab)
        try:
            if folder.exists():
                advance(cab.length or 0)
                return Got(cab, folder, _dumps_noted(folder, cab))
            folder.parent.mkdir(parents=True, exist_ok=True)
            archive = folder.with_name(f"{folder.name}.archive")
            for kept in (folder.with_name(f"{folder.name}.{form}") for form in FORMS):
                if kept.exists():
                    kept.replace(archive)
            blob = self._container.get_blob_client(cab.blobName)
            download(blob, archive, cab.md5, self._ranges, advance, self.stop)
            return Got(cab, folder, self._unpacked(cab, archive, folder))
        except (ArchiveError, DamagedError, StoppedError, ProblemError) as error:
            return Got(cab, folder, error=str(error))
        except OSError as error:
            return Got(cab, folder, error=f"{error.strerror or type(error).__name__}: {error.filename or folder}")

    def _unpacked(self, cab: Cab, archive: Path, folder: Path) -> list[Path]:
        aside = folder.with_name(f"{folder.name}.unpacking")
        shutil.rmtree(aside, ignore_errors=True)
        try:
            dumps = unpack(archive, aside, self._limit)
            names = [path.relative_to(aside).as_posix() for path in dumps]
            (aside / _NOTE).write_text(json.dumps({**cab.told(), "dumps": names}, indent=2), encoding="utf-8")
            aside.replace(folder)
        except ArchiveError as error:
            kept = folder.with_name(f"{folder.name}.{form_of(archive)}")
            archive.replace(kept)
            raise ArchiveError(f"{error} (kept as {kept})") from None
        finally:
            shutil.rmtree(aside, ignore_errors=True)
        if self._keep:
            archive.replace(folder.with_name(f"{folder.name}.{form_of(archive)}"))
        else:
            archive.unlink()
        return [folder / name for name in names]

    def _folder(self, cab: Cab) -> Path:
        failure = safe_name(cab.failureName or cab.failureHash)
        version = safe_name(cab.driverVersion, "unknown-version")
        name = safe_name(f"{day(cab.date) or 'undated'}_{self._short[cab.cabIdHash]}")
        return self._output / failure / version / name


def _dumps_noted(folder: Path, cab: Cab) -> list[Path]:
    """Return the dumps of a folder that an earlier run made, of this cab."""
    try:
        note = json.loads((folder / _NOTE).read_text(encoding="utf-8"))
        if note["cabIdHash"] == cab.cabIdHash:
            return [folder / safe for safe in note["dumps"]]
    except (OSError, ValueError, KeyError, TypeError):
        pass
    raise ArchiveError(f"{folder} is there and was not made of this cab: move it away")


def _tell(found: Sequence[Got]) -> None:
    for each in found:
        if each.error:
            say(f"{each.cab.cabIdHash}: {each.error}")
            continue
        by = f"  (delete by {day(each.cab.retiresAt)})" if each.cab.retiresAt else ""
        for dump in each.dumps:
            answer(f"{windbg_line(dump)}{by}")
        if not each.dumps:
            answer(f"{each.folder}: holds no dump{by}")
