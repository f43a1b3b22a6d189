"""`python3 dev.py demo`: the first thing that anyone runs."""

import subprocess
import sys

from tests.system.app import ROOT, environment


def test_the_demo_ends_with_every_cab_in_the_container() -> None:
    """Who tries the project in a fresh clone has nothing else to go by."""
    done = subprocess.run(
        [sys.executable, "dev.py", "demo"],
        cwd=ROOT,
        env=environment({}),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "byte for byte" in done.stdout
    assert "failed" not in done.stdout
    # Without a terminal there are lines, and none of them moves the cursor.
    assert "\x1b" not in done.stdout
    for told in ("cabs: ", "driver: ", "desktop: ", "app: "):
        assert any(line.startswith(f"demo: {told}") for line in done.stdout.splitlines()), told
