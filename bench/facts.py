"""What a reader must know of the machine and the software to read the figures; never a host name or a path."""

import os
import platform
import subprocess
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import msgspec

from local.azurite.server import azurite_command

_PACKAGES = (
    "azure-functions-runtime",
    "azure-storage-blob",
    "azure-data-tables",
    "requests",
    "urllib3",
    "pycurl",
    "msgspec",
)


def facts() -> tuple[str, ...]:
    """Return one sentence for each fact."""
    command, script = azurite_command()
    node = subprocess.run([command, "--version"], capture_output=True, text=True, check=False).stdout.strip()
    azurite = msgspec.json.decode((Path(script).parents[2] / "package.json").read_bytes())
    return (
        f"measured on {datetime.now(UTC):%Y-%m-%d}",
        f"{os.process_cpu_count()} cores ({_processor()}), {_memory()}, {platform.system()} {platform.machine()}",
        f"Python {platform.python_version()}, {', '.join(f'{name} {version(name)}' for name in _PACKAGES)}",
        f"Azurite {azurite['version']} in memory on Node {node.removeprefix('v')}",
    )


def _processor() -> str:
    file = Path("/proc/cpuinfo")
    lines = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor() or "unknown")


def _memory() -> str:
    file = Path("/proc/meminfo")
    if not file.exists():
        return "memory unknown"
    return f"{int(file.read_text(encoding='utf-8').split()[1]) / 1024 / 1024:.0f} GiB of memory"
