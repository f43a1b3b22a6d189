"""`python3 dev.py demo`: the first thing that anyone runs."""

from tests.system.app import typed


def test_the_demo_ends_with_every_cab_in_the_container() -> None:
    """Who tries the project in a fresh clone has nothing else to go by."""
    done = typed("demo", seconds=240)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "byte for byte" in done.stdout
    assert "failed" not in done.stdout
    # Without a terminal there are lines, and none of them moves the cursor.
    assert "\x1b" not in done.stdout
    for told in ("cabs: ", "driver: ", "desktop: ", "app: "):
        assert any(line.startswith(f"demo: {told}") for line in done.stdout.splitlines()), told
