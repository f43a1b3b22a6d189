"""A probe that hangs, raises or leaks costs its own answer and no other, and nobody learns a secret from it."""

import threading
import time

import pytest

from shared.core.errors import AgainLater, SettingsError
from shared.preflight.probing import Probe, ProbeFailed, ProbeResult, results, unreachable


def raising(error: Exception) -> Probe:
    """Return a probe that fails."""

    def ask() -> str:
        raise error

    return Probe("raising", ask, "somebody")


def only(probe: Probe) -> ProbeResult:
    """Return what a single probe found."""
    (found,) = results([probe], 10)
    return found


def test_a_probe_that_hangs_holds_up_no_other() -> None:
    """A firewall that drops packets must not hide what the other parts answer."""
    end = threading.Event()
    hanging = Probe("hanging", lambda: str(end.wait(30)), "devcenter.example")
    start = time.monotonic()
    found = results([hanging, Probe("quick", lambda: "well", "")], 0.3)
    assert time.monotonic() - start < 10
    end.set()
    assert [(each.name, each.is_ok) for each in found] == [("hanging", False), ("quick", True)]
    assert "no answer within" in found[0].answered
    assert "devcenter.example" in str(found[0].what_to_do)


def test_probes_are_asked_side_by_side() -> None:
    """Eight that take long, one after the other, would take too long for whoever waits."""
    together = threading.Barrier(8, timeout=10)
    found = results([Probe(f"{number}", lambda: str(together.wait() >= 0), "") for number in range(8)], 10)
    assert [(each.name, each.answered) for each in found] == [(f"{number}", "True") for number in range(8)]


@pytest.mark.parametrize(
    ("error", "answered", "advice"),
    [
        (ProbeFailed("403 from it", "Give it a role."), "403 from it", "Give it a role."),
        (SettingsError("X is missing"), "X is missing", "docs/operate.md"),
        (AgainLater("busy"), "busy", "what it says"),
    ],
)
def test_a_failure_tells_what_to_do(error: Exception, answered: str, advice: str) -> None:
    found = only(raising(error))
    assert not found.is_ok
    assert found.answered == answered
    assert advice in str(found.what_to_do)


def test_what_nobody_foresaw_is_logged_whole_and_told_by_its_kind(caplog: pytest.LogCaptureFixture) -> None:
    found = only(raising(KeyError("https://x/y?sig=QZXJ")))
    assert found.answered == "an unexpected error (KeyError)"
    assert "log" in str(found.what_to_do)
    assert "raising failed in a way that nobody foresaw" in caplog.text


def test_no_secret_is_told() -> None:
    for probe in (
        raising(ProbeFailed("https://x/y?sig=QZXJ refused", "Renew https://x/y?sig=QZXJ")),
        Probe("told", lambda: "read https://x/y?sig=QZXJ", ""),
    ):
        assert "QZXJ" not in str(only(probe))


@pytest.mark.parametrize(
    ("url", "seen"), [("http://127.0.0.1:1/x", "resolves"), ("https://nobody.invalid/x", "cannot be resolved")]
)
def test_a_name_that_does_not_resolve_is_told_from_a_firewall(url: str, seen: str) -> None:
    found = unreachable(url, "no connection", "CAB_STORAGE")
    assert seen in str(found)
    assert "CAB_STORAGE" in found.what_to_do
