"""An instance that Azure takes away must hand on its pulls; one that never ends would be killed in the middle."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
_SECONDS = 30
pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows sends no signals")

WORKING = """
import threading
from shared.core import stopping

stopping.listen()
begun = threading.Event()

def work():
    with stopping.at_work():
        begun.set()
        while not stopping.is_stopping():
            threading.Event().wait(0.01)
        print("handed on", flush=True)

threading.Thread(target=work, daemon=True).start()
begun.wait()
print("ready", flush=True)
threading.Event().wait()
"""
IDLE = """
import threading
from shared.core import stopping

stopping.listen()
stopping.listen()
print("ready", flush=True)
threading.Event().wait()
"""
LISTENED = """
import signal, sys, threading
from shared.core import stopping

signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(f"heard {number}, stopping: {stopping.is_stopping()}"))
stopping.listen()
print("ready", flush=True)
threading.Event().wait()
"""


def terminated(program: str) -> tuple[int, str, str]:
    """Run a program, ask it to end once it says that it is ready, and return its exit code and what it printed."""
    process = subprocess.Popen(
        [sys.executable, "-c", program], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGTERM)
        printed, errors = process.communicate(timeout=_SECONDS)
    finally:
        process.kill()
        process.wait()
    return process.returncode, printed, errors


def test_work_under_way_hears_of_it_and_ends_before_the_process() -> None:
    assert terminated(WORKING) == (128 + signal.SIGTERM, "handed on\n", "")


def test_a_process_without_work_ends_at_once() -> None:
    assert terminated(IDLE) == (128 + signal.SIGTERM, "", "")


def test_who_listened_before_hears_of_it_too() -> None:
    code, _, errors = terminated(LISTENED)
    assert (code, errors) == (1, "heard 15, stopping: True\n")
