"""How long to wait: what the other side asked for, and what to do when it did not say."""

import random
import re
from collections.abc import Mapping
from datetime import timedelta

from shared.core import clock
from shared.core.headers import http_date

# What the gateway before the analytics service writes (docs/api.md): seconds of the rate, [d.]hh:mm:ss of the quota.
_RATE = re.compile(r"try again in (\d{1,6}) seconds?", re.IGNORECASE)
_QUOTA = re.compile(r"replenished in (?:(\d{1,4})\.)?(\d{1,3}):(\d{2}):(\d{2})", re.IGNORECASE)
# The longest wait that is honoured. A queue message can stay invisible for 7 days, but a day of silence is already an
# outage that people should hear of.
_LONGEST = timedelta(days=1)
# Ten tries that grow threefold from 5 s and stop growing at an hour last about three and a half hours.
_FIRST, _GROWTH, _CAP = timedelta(seconds=5), 3, timedelta(hours=1)


def wait_asked(headers: Mapping[str, str], body: str) -> timedelta | None:
    """Return the wait that an answer asks for: its Retry-After, or a sentence of its body; nothing raises.

    Args:
        headers: The answer's headers; Retry-After holds seconds or an HTTP date (RFC 9110, section 10.2.3).
        body: The answer's body as text; the gateway of the analytics service asks there (devcenter-api.md).
    """
    asked = _from_header(headers.get("Retry-After", "").strip())
    if asked is None and (rate := _RATE.search(body)):
        asked = timedelta(seconds=int(rate[1]))
    if asked is None and (quota := _QUOTA.search(body)):
        days, hours, minutes, seconds = (int(part or 0) for part in quota.groups())
        asked = timedelta(days, seconds, minutes=minutes, hours=hours)
    return None if asked is None else min(max(asked, timedelta()), _LONGEST)


def growing_wait(tries: int) -> timedelta:
    """Return the wait before the next try when nobody said how long: it grows with the tries, with a spread.

    Args:
        tries: How many tries in a row went without progress, from 1.
    """
    wait = min(_FIRST * float(_GROWTH ** min(tries - 1, 16)), _CAP)
    return wait * random.uniform(0.8, 1.2)  # noqa: S311 - a spread against herds, not a secret


def spread(wait: timedelta) -> timedelta:
    """Return a wait that is up to half as long again, so that those who wait for one moment do not come together."""
    return wait * random.uniform(1, 1.5)  # noqa: S311 - not a secret


def _from_header(value: str) -> timedelta | None:
    if re.fullmatch(r"\d{1,9}", value):
        return timedelta(seconds=int(value))
    moment = http_date(value)
    return moment - clock.now() if moment else None
