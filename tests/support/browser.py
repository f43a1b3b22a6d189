"""A Chromium for the tests of the dashboard: the machine's own, else one that is installed once."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, Playwright, sync_playwright

_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome", "msedge", "microsoft-edge")
_INSTALLS = (
    # Debian's package, where this process may; Playwright's own build, where its download host can be reached.
    ["apt-get", "update", "--quiet"],
    ["apt-get", "install", "--yes", "--quiet", "--no-install-recommends", "chromium"],
    [sys.executable, "-m", "playwright", "install", "--only-shell", "chromium"],
)
_PATIENCE_SECONDS = 300


@contextmanager
def chromium() -> Iterator[Browser]:
    """Run a Chromium without a window; where the machine has none, install one, or say how."""
    with sync_playwright() as playwright:
        executable = _found(playwright) or _installed(playwright)
        assert executable, (
            "the dashboard's tests need a Chromium, and none could be installed: `apt-get install chromium`, "
            "or `.venv/bin/python -m playwright install chromium`"
        )
        # As root, which a container's user often is, Chromium runs without a sandbox alone.
        alone = ["--no-sandbox"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []
        browser = playwright.chromium.launch(executable_path=executable, args=alone)
        yield browser
        browser.close()


def _found(playwright: Playwright) -> str | None:
    own = playwright.chromium.executable_path
    return next((path for name in _NAMES if (path := shutil.which(name))), own if Path(own).exists() else None)


def _installed(playwright: Playwright) -> str | None:
    may_install = hasattr(os, "geteuid") and os.geteuid() == 0 and shutil.which("apt-get")
    for command in _INSTALLS:
        if command[0] != "apt-get" or may_install:
            print("installing a Chromium:", " ".join(command), file=sys.stderr)
            subprocess.run(command, check=False, timeout=_PATIENCE_SECONDS, stdout=subprocess.DEVNULL)
            if executable := _found(playwright):
                return executable
    return None
