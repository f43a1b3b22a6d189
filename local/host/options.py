"""The host's own settings, read from the environment."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Self

from local.host.errors import StartError


@dataclass(frozen=True, slots=True)
class HostOptions:
    """How this host differs from Azure's, where a test or an impatient person wants it to.

    Args:
        message_lease: How long a taken message stays invisible without a renewal; ten minutes in Azure.
        stop_grace: How long running functions may go on after a stop was asked for.
        http_only: Whether no queue and no timer is listened to.
    """

    message_lease: timedelta
    stop_grace: timedelta
    http_only: bool

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Self:
        """Read LOCAL_MESSAGE_LEASE_SECONDS (600), LOCAL_STOP_GRACE_SECONDS (10) and LOCAL_HTTP_ONLY (not set).

        Raises:
            StartError: One of them is not a whole number in its range.
        """
        return cls(
            message_lease=_seconds(environment, "LOCAL_MESSAGE_LEASE_SECONDS", default=600, least=2, most=604_800),
            stop_grace=_seconds(environment, "LOCAL_STOP_GRACE_SECONDS", default=10, least=0, most=3_600),
            http_only=bool(environment.get("LOCAL_HTTP_ONLY", "").strip()),
        )


def _seconds(environment: Mapping[str, str], name: str, *, default: int, least: int, most: int) -> timedelta:
    text = environment.get(name, "").strip() or str(default)
    if not re.fullmatch(r"\d{1,9}", text) or not least <= int(text) <= most:
        raise StartError(f"{name} is {text!r}, which is not a whole number of seconds from {least} to {most}")
    return timedelta(seconds=int(text))
