"""Look at the predicted production for what reviewers look for, by checkov: `python -m infra.hardening`.

Checkov reads no template with symbolic names, which is what Bicep compiles to, but it reads the resources of
`infra/snapshots/production.snapshot.json`. It has an environment of its own in `.local/checkov`, and is asked again
only when something changed since it was content. What is let pass is in `infra/checkov/config.yaml`.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path

from infra.check import unchecked

ROOT = Path(__file__).resolve().parent.parent
PREDICTED = ROOT / "infra" / "snapshots" / "production.snapshot.json"
CONFIG = ROOT / "infra" / "checkov" / "config.yaml"
REQUIREMENTS = ROOT / "infra" / "checkov" / "requirements.txt"
FOLDER = ROOT / ".local" / "checkov"
_SCHEMA = "https://schema.management.azure.com/schemas/2019-04-01/deploymentTemplate.json#"


def main() -> int:
    """Print what checkov finds and return its exit code."""
    digest = hashlib.sha256(b"\0".join(path.read_bytes() for path in (PREDICTED, CONFIG, REQUIREMENTS))).hexdigest()
    stamp = FOLDER / "content.stamp"
    if stamp.exists() and stamp.read_text(encoding="utf-8") == digest:
        return 0
    python = _installed()
    if python is None:
        return unchecked("pip could not install checkov")
    template = FOLDER / "production.json"
    predicted = json.loads(PREDICTED.read_text(encoding="utf-8"))["predictedResources"]
    # Checkov takes any such resource for `web`, and asks that of the sign-in for logs and .NET versions.
    resources = [each for each in predicted if each["type"] != "Microsoft.Web/sites/config"]
    template.write_text(
        json.dumps({"$schema": _SCHEMA, "contentVersion": "1.0.0.0", "resources": resources}, indent=2),
        encoding="utf-8",
    )
    command = [str(python), "-m", "checkov.main", "--config-file", str(CONFIG), "--file", str(template)]
    # Its own log tells of every reference that it cannot follow.
    done = subprocess.run(command, env=os.environ | {"LOG_LEVEL": "ERROR"}, check=False)
    if done.returncode == 0:
        stamp.write_text(digest, encoding="utf-8")
    return done.returncode


def _installed() -> Path | None:
    """Return the Python that has checkov, at the pinned versions; None where it cannot be had."""
    python = FOLDER / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    stamp = FOLDER / "installed.stamp"
    wanted = REQUIREMENTS.read_text(encoding="utf-8")
    if not stamp.exists() or stamp.read_text(encoding="utf-8") != wanted:
        print("infra: installing checkov into .local/checkov, once", flush=True)
        shutil.rmtree(FOLDER, ignore_errors=True)
        venv.create(FOLDER, with_pip=True)
        install = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
        if subprocess.run([*install, "-r", str(REQUIREMENTS)], check=False).returncode:
            return None
        stamp.write_text(wanted, encoding="utf-8")
    return python


if __name__ == "__main__":
    sys.exit(main())
