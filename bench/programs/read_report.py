"""Read a long report with one reader: Cabferry's own, pandas or polars.

Runs in the venv of the peers as well, so it imports the standard library alone until it knows its reader.
"""

import importlib
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

_IMPORTS = {
    "cabferry": "shared.reports.reader",
    "pandas": "pandas",
    "polars": "polars",
}
_PAIR = ["ApplicationId", "FailureHash"]
_CAB = "CabIdHash"


def _cabferry(reader: Any, path: Path) -> tuple[int, int]:
    failures, cabs = set[Any](), set[Any]()
    with path.open("rb") as file:
        for part in reader.read_report(file, "the report"):
            failures.update(part.cabs)
            cabs.update(*part.cabs.values())
    return len(failures), len(cabs)


def _pass_through(reader: Any, path: Path) -> None:
    """Read and keep nothing, as the app does: what a consumer keeps is not the reader's memory."""
    with path.open("rb") as file:
        for _part in reader.read_report(file, "the report"):
            pass


def _pandas(pandas: Any, path: Path) -> tuple[int, int]:
    frame = pandas.read_csv(path, sep="\t", compression="gzip", usecols=[*_PAIR, _CAB], dtype=str)
    cabs = frame.dropna(subset=_CAB)
    return len(frame.drop_duplicates(_PAIR)), len(cabs.drop_duplicates([*_PAIR, _CAB]))


def _polars(polars: Any, path: Path) -> tuple[int, int]:
    frame = polars.read_csv(path, separator="\t", columns=[*_PAIR, _CAB], infer_schema=False)
    cabs = frame.filter(polars.col(_CAB).is_not_null() & (polars.col(_CAB) != ""))
    return frame.select(_PAIR).unique().height, cabs.unique().height


_READERS: dict[str, Callable[[Any, Path], tuple[int, int]]] = {
    "cabferry": _cabferry,
    "pandas": _pandas,
    "polars": _polars,
}


def _memory(name: str) -> int:
    file = Path("/proc/self/status")
    lines = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith(name)), 0)


def _main() -> None:
    name, path = sys.argv[1], Path(sys.argv[2])
    # What is imported is in an idle worker already.
    reader = importlib.import_module(_IMPORTS[name])
    idle = _memory("VmRSS:")
    if name == "cabferry":
        _pass_through(reader, path)
    memory = _memory("VmHWM:") - idle
    cpu, started = time.process_time(), time.perf_counter()
    failures, cabs = _READERS[name](reader, path)
    result = {
        "seconds": time.perf_counter() - started,
        "cpu_seconds": time.process_time() - cpu,
        # The others hold all that they read, and so does who asks them.
        "memory": memory if name == "cabferry" else _memory("VmHWM:") - idle,
        "failures": failures,
        "cabs": cabs,
        "version": getattr(reader, "__version__", ""),
    }
    print(json.dumps(result))


if __name__ == "__main__":
    _main()
