"""Those who copy: the ceiling, Cabferry, and what a user would pick instead. Each copies the same source blobs."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from tempfile import TemporaryDirectory

from bench import peers
from bench.cabferry import CabferryHost
from bench.processes import BenchError, run_program
from bench.programs.command import CommandJob
from bench.programs.devcenter import APPLICATION
from bench.programs.job import Measured
from bench.programs.plain_script import ScriptJob
from bench.programs.pull import PullJob
from bench.stage import CAB_ACCOUNT, IN_FLIGHT, SourceSet, Stage

MIB = 1024 * 1024
AZCOPY_IN_FLIGHT = 64


@dataclass(frozen=True, slots=True)
class Sample:
    """One measurement of one contender.

    Args:
        cabs: How many it copied.
        size: Bytes of each.
        seconds: What it took.
        cpu_seconds: User and system time of its process.
        memory: The most resident memory above what was there before it began; for a command of its own all of it.
        server_seconds: User and system time of Azurite meanwhile.
    """

    cabs: int
    size: int
    seconds: float
    cpu_seconds: float
    memory: float
    server_seconds: float

    @property
    def rate(self) -> float:
        """Cabs a second."""
        return self.cabs / self.seconds

    @property
    def megabytes(self) -> float:
        """MB a second."""
        return self.rate * self.size / 1e6

    @property
    def cpu_ms(self) -> float:
        """Milliseconds of CPU a cab."""
        return self.cpu_seconds / self.cabs * 1e3

    @property
    def server_ms(self) -> float:
        """Milliseconds of Azurite's CPU a cab."""
        return self.server_seconds / self.cabs * 1e3


@dataclass(frozen=True, slots=True)
class Contender:
    """One way to copy.

    Args:
        name: As tables call it.
        how: What is run, with its settings.
        copy: Copies so many cabs from the sources and tells what it took.
        missing: Why it cannot be measured here; empty where it can.
    """

    name: str
    how: str
    copy: Callable[[SourceSet, int], Sample]
    missing: str = ""


def ceiling(stage: Stage) -> Contender:
    """Return the ceiling."""

    def copy(sources: SourceSet, cabs: int) -> Sample:
        with _checked(stage, cabs) as container:
            job = stage.copy_job(sources, CAB_ACCOUNT, container, sources.names[:cabs])
            return _sample(stage, sources, cabs, lambda: run_program("ceiling", job, Measured))

    how = f"Copy Blob From URL, {IN_FLIGHT} threads of signed libcurl requests, nothing else"
    return Contender("ceiling", how, copy)


def cabferry(stage: Stage, host: CabferryHost) -> Contender:
    """Return Cabferry's whole pull under its host."""

    def copy(sources: SourceSet, cabs: int) -> Sample:
        before = stage.azurite_cpu()
        pulled = host.pull([stage.failure(sources, cabs)], copied=cabs)
        memory = pulled.peak_rss - pulled.idle_rss
        server = stage.azurite_cpu() - before
        return Sample(cabs, sources.size, pulled.seconds, pulled.cpu_seconds, memory, server)

    how = "the whole pull (API pages, tables, read-back) by POST /api/pulls; its row's startedAt to completedAt"
    return Contender("Cabferry", how, copy)


def cabferry_alone(stage: Stage) -> Contender:
    """Return Cabferry's pull in a process without a host, to see what the work alone costs."""

    def copy(sources: SourceSet, cabs: int) -> Sample:
        pairs = [(APPLICATION, stage.failure(sources, cabs))]
        job = PullJob(pairs, warm_up=(APPLICATION, stage.failure(sources, 1)))
        return _sample(stage, sources, cabs, lambda: run_program("pull", job, Measured, stage.settings))

    return Contender("Cabferry without host", "the same pull called in process, after one of a single cab", copy)


def plain_script(stage: Stage) -> Contender:
    """Return the plain script."""

    def copy(sources: SourceSet, cabs: int) -> Sample:
        with _checked(stage, cabs) as container:
            connection = stage.settings["CAB_STORAGE"]
            job = ScriptJob(connection, container, sources.url, list(sources.names[:cabs]), IN_FLIGHT)
            return _sample(stage, sources, cabs, lambda: run_program("plain_script", job, Measured))

    how = f"requests.get, then upload_blob, in a ThreadPoolExecutor of {IN_FLIGHT}"
    return Contender("plain script", how, copy)


def azcopy(stage: Stage) -> Contender:
    """Return AzCopy, which copies a whole container between accounts."""
    program = peers.azcopy()
    how = (
        f"azcopy copy --recursive, AZCOPY_CONCURRENCY_VALUE={AZCOPY_IN_FLIGHT}, blocks of half a blob up to 8 MiB "
        "(Azurite has no Put Blob From URL), no length check, no overwrite check, no log"
    )

    def copy(sources: SourceSet, cabs: int) -> Sample:
        block = min(sources.size / 2, 8 * MIB) / MIB
        with _checked(stage, cabs) as container, TemporaryDirectory() as folder:
            command = [
                *(str(program), "copy", sources.container_url, stage.destination_url(container)),
                *("--recursive", "--as-subdir=false", "--from-to=BlobBlob", f"--block-size-mb={block}"),
                *(f"--put-blob-size-mb={block}", "--check-length=false", "--overwrite=true"),
                *("--s2s-preserve-access-tier=false", "--s2s-preserve-properties=false"),
                *("--log-level=NONE", "--output-level=essential"),
            ]
            places = {"AZCOPY_LOG_LOCATION": folder, "AZCOPY_JOB_PLAN_LOCATION": folder}
            value = {"AZCOPY_CONCURRENCY_VALUE": str(AZCOPY_IN_FLIGHT), "AZCOPY_SKIP_VERSION_CHECK": "true"}
            job, environment = CommandJob(command), {**places, **value}
            return _sample(stage, sources, cabs, lambda: run_program("command", job, Measured, environment))

    if program is None:
        return Contender("AzCopy", how, copy, missing="AzCopy is not installed")
    return Contender("AzCopy", f"{peers.version_of(program)}: {how}", copy)


def rclone(stage: Stage) -> Contender:
    """Return rclone, which downloads and uploads a whole container."""
    program = peers.rclone()
    how = f"rclone copy --transfers {IN_FLIGHT} --checkers {IN_FLIGHT} --no-check-dest"

    def copy(sources: SourceSet, cabs: int) -> Sample:
        with _checked(stage, cabs) as container:
            remotes = {
                "RCLONE_CONFIG_SOURCE_TYPE": "azureblob",
                "RCLONE_CONFIG_SOURCE_SAS_URL": sources.container_url,
                "RCLONE_CONFIG_TARGET_TYPE": "azureblob",
                "RCLONE_CONFIG_TARGET_SAS_URL": stage.destination_url(container),
            }
            command = [
                *(str(program), "copy", f"source:{sources.container}", f"target:{container}", "--no-check-dest"),
                *(f"--transfers={IN_FLIGHT}", f"--checkers={IN_FLIGHT}", "--config=", "--retries=1"),
            ]
            return _sample(stage, sources, cabs, lambda: run_program("command", CommandJob(command), Measured, remotes))

    if program is None:
        return Contender("rclone", how, copy, missing="rclone is not installed")
    return Contender("rclone", f"{peers.version_of(program)}: {how}", copy)


@contextmanager
def _checked(stage: Stage, cabs: int) -> Iterator[str]:
    """Give an empty destination, and see to it that all cabs are in it at the end."""
    container = stage.destination()
    yield container
    held = stage.held(container)
    stage.drop(container)
    if held != cabs:
        raise BenchError(f"{held} cabs were copied, and should be {cabs}")


def _sample(stage: Stage, sources: SourceSet, cabs: int, run: Callable[[], Measured]) -> Sample:
    before, used = stage.azurite_cpu(), run()
    server, memory = stage.azurite_cpu() - before, used.peak_rss - used.idle_rss
    return Sample(cabs, sources.size, used.seconds, used.cpu_seconds, memory, server)
