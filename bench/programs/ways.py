"""The ways to send Copy Blob From URL: the same copies, with the SDK, with what it stands on, and as a pull does."""

import base64
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus

import msgspec
import urllib3
from azure.storage.blob import BlobServiceClient

from bench.programs.ceiling import CopyJob, copy_all, signed_headers
from bench.programs.job import measured, read_job, tell


class WayJob(msgspec.Struct, frozen=True):
    """What is copied, and in which of `WAYS`."""

    way: str
    job: CopyJob


def _sdk(job: CopyJob) -> None:
    url = f"{job.endpoint}/{job.account}"
    with BlobServiceClient(url, {"account_name": job.account, "account_key": job.key}) as service:
        container = service.get_container_client(job.container)

        def copy(name: str) -> None:
            source = job.source.replace("{name}", name)
            container.get_blob_client(name).start_copy_from_url(source, requires_sync=True)

        with ThreadPoolExecutor(job.in_flight) as threads:
            list(threads.map(copy, job.names))


def _urllib3(job: CopyJob) -> None:
    pool = urllib3.connection_from_url(job.endpoint, maxsize=job.in_flight)
    key = base64.b64decode(job.key)

    def copy(name: str) -> None:
        path, headers = signed_headers(job, key, name)
        _check(pool.urlopen("PUT", path, headers=headers, retries=False).status)

    with ThreadPoolExecutor(job.in_flight) as threads:
        list(threads.map(copy, job.names))


def _check(status: int) -> None:
    if status != HTTPStatus.ACCEPTED:
        raise RuntimeError(f"a copy was refused: {status}")


WAYS: dict[str, Callable[[CopyJob], None]] = {
    "azure-storage-blob, threads": _sdk,
    "urllib3, threads": _urllib3,
    "libcurl, threads": copy_all,
}

if __name__ == "__main__":
    the_job = read_job(WayJob)
    tell(measured(lambda: WAYS[the_job.way](the_job.job)))
