"""The preflight: ask every part that a pull needs once, and say what a person should do about each that fails.

Read top to bottom, this is all of its policy:

- Each check stands alone. They run side by side, and together take no longer than `SECONDS`.
- It asks past the circuit breaker and with clients, tokens and connections of its own: what the app holds in memory
  from better times proves nothing.
- It changes nothing that counts: no message is sent, the failure that it asks the Dev Center for is made up, and its
  blobs and its row have names that no cab and no pull can have. What is missing and may be created is created, as at
  the app's own start.
- It needs no complete settings: what is set is asked, and what is missing is named.
"""

from __future__ import annotations

import os
from contextlib import ExitStack
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from shared.core.errors import SettingsError
from shared.core.settings import Settings, devcenter_access
from shared.core.settings_table import default_of
from shared.core.storage_settings import cab_places
from shared.preflight.devcenter_probes import DevCenterProbes
from shared.preflight.probing import Probe, ProbeFailed, results
from shared.preflight.storage_probes import StorageProbes

if TYPE_CHECKING:
    from collections.abc import Mapping

    from shared.preflight.probing import ProbeResult

SECONDS = 15.0
_OF_DEVCENTER = ("token", "reportdata", "cabdownloadbatch")
_OF_STORAGE = ("container", "tables", "queue", "copy")


def preflight(environment: Mapping[str, str] = os.environ, seconds: float = SECONDS) -> list[ProbeResult]:
    """Ask every part, and return what each answered.

    Args:
        environment: The app settings.
        seconds: How long to wait for all of them together.
    """
    try:
        settings = Settings.from_environment(environment)
        told = Probe("settings", lambda: "every setting that is needed is there, and well formed", "")
    except SettingsError as error:
        settings, told = None, _not_asked("settings", str(error))
    with ExitStack() as opened:
        asked = [told, *_devcenter(environment, settings, opened), *_storage(environment, opened)]
        return results(asked, seconds)


def _devcenter(environment: Mapping[str, str], settings: Settings | None, opened: ExitStack) -> list[Probe]:
    try:
        access = devcenter_access(environment)
    except SettingsError as error:
        return [_not_asked(name, f"not asked: {error}") for name in _OF_DEVCENTER]
    # A malformed list of reports is told by the first check, and must not cost the others.
    ids = settings.report_ids if settings else ()
    lookback = settings.report_lookback if settings else timedelta(days=int(default_of("REPORT_LOOKBACK_DAYS")))
    probes = DevCenterProbes(access, ids, lookback)
    opened.callback(probes.close)
    host = _host(access.base_url)
    applications = [
        Probe(f"{family} {each}", partial(probes.application, family, each), host)
        for family, each in (settings.applications if settings else ())
    ]
    token = Probe("token", probes.token, "the token endpoint")
    if settings and not settings.checks_reports:
        return [token, *applications]
    return [
        token,
        Probe("reportdata", probes.reportdata, host),
        Probe("cabdownloadbatch", probes.cabdownloadbatch, host),
        *applications,
    ]


def _storage(environment: Mapping[str, str], opened: ExitStack) -> list[Probe]:
    try:
        probes = StorageProbes(cab_places(environment))
    except SettingsError as error:
        return [_not_asked(name, f"not asked: {error}") for name in _OF_STORAGE]
    opened.callback(probes.close)
    return [
        Probe("container", probes.container, probes.blob_host),
        Probe("tables", probes.tables, probes.table_host),
        Probe("queue", probes.queue, probes.queue_host),
        Probe("copy", probes.copy, probes.blob_host),
    ]


def _not_asked(name: str, why: str) -> Probe:
    def ask() -> str:
        raise ProbeFailed(why, "Set what is named; docs/operate.md lists every setting.")

    return Probe(name, ask, "")


def _host(url: str) -> str:
    return urlsplit(url).hostname or "the Dev Center"
