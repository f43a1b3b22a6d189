"""The host's own settings, read from the environment."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Self

from local.host.errors import StartError

_LEASE, _LEAST, _MOST = "LOCAL_MESSAGE_LEASE_SECONDS", 2, 604_800


@dataclass(frozen=True, slots=True)
class HostOptions:
    """How this host differs from Azure's, where a test or an impatient person wants it to.

    Args:
        message_lease: How long a taken message stays invisible without a renewal; ten minutes in Azure.
        http_only: Whether no queue and no timer is listened to.
    """

    message_lease: timedelta
    http_only: bool

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Self:
        """Read LOCAL_MESSAGE_LEASE_SECONDS (600) and LOCAL_HTTP_ONLY (not set).

        Raises:
            StartError: The first is not a whole number in its range.
        """
        lease = environment.get(_LEASE, "").strip() or "600"
        if not re.fullmatch(r"\d{1,9}", lease) or not _LEAST <= int(lease) <= _MOST:
            raise StartError(f"{_LEASE} is {lease!r}, which is not a whole number of seconds from {_LEAST} to {_MOST}")
        return cls(timedelta(seconds=int(lease)), bool(environment.get("LOCAL_HTTP_ONLY", "").strip()))
