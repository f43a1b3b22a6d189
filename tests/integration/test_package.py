"""What azd uploads runs by itself: in an empty environment, with nothing but what `requirements.txt` installs."""

import json
import os
import shutil
import subprocess
import sys
from importlib.metadata import files
from pathlib import Path
from zipfile import ZipFile

import pytest

from tests.integration.test_indexing import expected

ROOT = Path(__file__).parents[2]
# Azure's worker brings these; whatever else the app imports must be its own.
OF_THE_WORKER = ("azure-functions-runtime", "azurefunctions-extensions-base")
IMPORT_EVERYTHING = """
import importlib, pkgutil
for room in ("functions", "shared"):
    for module in pkgutil.walk_packages([room], f"{room}."):
        importlib.import_module(module.name)
"""


def packed(package: Path) -> None:
    """Write the zip that azd uploads: what git tracks, but for what git itself finds ignored by `.funcignore`."""
    tracked, ignored = (
        set(subprocess.check_output(["git", "ls-files", "-z", *which], cwd=ROOT, text=True).split("\0")) - {""}  # noqa: S607
        for which in (["--cached"], ["--cached", "--ignored", "--exclude-from=.funcignore"])
    )
    with ZipFile(package, "w") as archive:
        for name in sorted(tracked - ignored):
            archive.write(ROOT / name, name)


def worker_brought(folder: Path) -> None:
    """Copy what stands for Azure's image: its worker, and what drives that here in the place of its host."""
    for name in OF_THE_WORKER:
        for file in files(name) or []:
            if ".." not in file.parts:
                target = folder / file
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(file.locate(), target)
    shutil.copytree(ROOT / "local" / "host", folder / "local" / "host")
    shutil.copyfile(ROOT / "tests" / "integration" / "indexed_app.py", folder / "indexed_app.py")


@pytest.mark.timeout(300)
def test_the_package_runs_on_what_it_installs_alone(tmp_path: Path) -> None:
    """A package that is missing from requirements.txt, or a file from the upload, is found in Azure only."""
    packed(tmp_path / "package.zip")
    app = tmp_path / "app"
    with ZipFile(tmp_path / "package.zip") as archive:
        archive.extractall(app)
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(tmp_path / "empty")], check=True)
    python = tmp_path / "empty" / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    pip = [sys.executable, "-m", "pip", "--python", str(python), "--disable-pip-version-check"]
    install = ["install", "--quiet", "--require-hashes", "--only-binary=:all:", "--requirement", "requirements.txt"]
    subprocess.run([*pip, *install], cwd=app, check=True)
    worker_brought(tmp_path / "worker")

    environment = {name: os.environ[name] for name in ("PATH", "SYSTEMROOT") if name in os.environ}
    environment["PYTHONPATH"] = str(tmp_path / "worker")

    def run(*arguments: str) -> str:
        return subprocess.check_output([str(python), *arguments], cwd=app, env=environment, text=True)

    indexed = json.loads(run("-m", "indexed_app").splitlines()[-1])
    assert indexed["functions"] == expected("0 */30 * * * *", "0 10 */2 * * *", "0 20 */6 * * *", "cab-pulls")
    status, problem = indexed["answers"]["health"]
    assert (status, "CAB_STORAGE is missing" in problem["detail"]) == (503, True)
    run("-c", IMPORT_EVERYTHING)
