"""Cabferry's pull in a process of its own, without a host: what the work itself costs.

The environment holds the app settings. With a profile asked for, the pulls run under cProfile.
"""

import cProfile
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import msgspec
import requests

from bench.programs.job import Measured, measured, read_job, tell
from shared.core.facts import NO_FACTS
from shared.core.failure import Failure, default_window
from shared.progress.messages import PullMessage
from shared.pull.one_failure import pull_failure
from shared.services import services

_SECONDS = 60


class PullJob(msgspec.Struct, frozen=True):
    """What is pulled.

    Args:
        failures: Pairs of applicationId and failureHash.
        at_once: How many pulls run side by side.
        listed: The cabs that a report has listed of the first failure; none where no report was read.
        warm_up: A pair that is pulled first and not measured; None for none.
        ask_between: A URL that is asked then, before anything is measured; empty for none.
        profile: A file that receives the profile; empty for none. Threads other than the pull's own are not in it.
    """

    failures: list[tuple[str, str]]
    at_once: int = 1
    listed: list[str] = []
    warm_up: tuple[str, str] | None = None
    ask_between: str = ""
    profile: str = ""


def _pull(pair: tuple[str, str]) -> None:
    window = default_window(timedelta(days=30))
    pull_failure(services().pull_tools, PullMessage(Failure(*pair), window, "bench"))


def _pull_all(job: PullJob) -> Measured:
    if job.at_once == 1 and job.profile:
        with cProfile.Profile() as profile:
            used = measured(lambda: list(map(_pull, job.failures)))
        profile.dump_stats(job.profile)
        return used
    with ThreadPoolExecutor(job.at_once) as threads:
        return measured(lambda: list(threads.map(_pull, job.failures)))


if __name__ == "__main__":
    the_job = read_job(PullJob)
    if the_job.warm_up:
        _pull(the_job.warm_up)
    if the_job.listed:
        told = dict.fromkeys(the_job.listed, NO_FACTS)
        services().pull_tools.cabs.list_new(Failure(*the_job.failures[0]), told)
    if the_job.ask_between:
        requests.get(the_job.ask_between, timeout=_SECONDS).raise_for_status()
    tell(_pull_all(the_job))
