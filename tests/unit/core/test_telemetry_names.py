"""Names of metrics and events are a contract: alerts look for them, and one that is misspelled would never fire."""

import logging
import re

import pytest

from infra.telemetry import PAGE, written
from shared.core.events import EVENTS, FUNCTION_FAILED
from shared.core.metrics import COPIES, METRICS


def test_a_reader_finds_every_metric_and_event_as_it_is() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert page == written(page), "python -m infra.telemetry writes it"


def test_names_are_told_apart_and_have_one_form() -> None:
    names = [each.name for each in METRICS] + [each.name for each in EVENTS]
    assert len(set(names)) == len(names)
    assert [each.name for each in METRICS if not re.fullmatch(r"cabferry(\.[a-z_]+)+", each.name)] == []
    assert [each.name for each in EVENTS if not re.fullmatch(r"[a-z]+(-[a-z]+)*", each.name)] == []


@pytest.mark.parametrize("attributes", [{}, {"way": "direct", "blob": "b"}, {"blob": "b"}])
def test_an_attribute_that_is_not_registered_fails(attributes: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="metric cabferry"):
        COPIES.record(1, **attributes)
    with pytest.raises(ValueError, match="function-failed"):
        FUNCTION_FAILED.tell(**attributes)


def test_an_event_is_one_line_without_a_secret(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    FUNCTION_FAILED.tell(
        function="reconcile", reason="no\nINFO https://a.blob.core.windows.net/c?sig=abcdefgh deviceId=7"
    )
    (line,) = caplog.messages
    assert line.startswith(
        "function-failed: function=reconcile reason=no INFO https://a.blob.core.windows.net/c?[redacted]"
    )
    assert "abcdefgh" not in line
    assert "=7" not in line
