"""Tools of lint that npm has and PyPI has not, each in a folder of its own in `.local`."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

LOCAL = Path(__file__).resolve().parent.parent / ".local"


class NotInstalledError(Exception):
    """There is no Node, or npm failed; the text says which."""


def command(source: Path, script: str) -> Sequence[str]:
    """Return what runs a script with what a folder's `package-lock.json` pins, which is installed where it is not yet.

    Args:
        source: Holds `package.json` and `package-lock.json`.
        script: Of that folder, or of what is installed.

    Raises:
        NotInstalledError: It cannot be.
    """
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        raise NotInstalledError("there is no Node with npm on PATH")
    folder = LOCAL / source.name
    folder.mkdir(parents=True, exist_ok=True)
    lock = source / "package-lock.json"
    stamp = folder / "installed.stamp"
    if not stamp.exists() or stamp.read_bytes() != lock.read_bytes():
        print(f"infra: installing what {source.name} pins into .local/{source.name}, once", flush=True)
        for name in ("package.json", "package-lock.json"):
            shutil.copyfile(source / name, folder / name)
        install = [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
        if subprocess.run(install, cwd=folder, check=False, stdout=subprocess.DEVNULL).returncode:
            raise NotInstalledError(f"npm could not install what {source.name} pins")
        shutil.copyfile(lock, stamp)
    for each in source.glob("*.cjs"):
        shutil.copyfile(each, folder / each.name)
    return [node, str(folder / script)]
