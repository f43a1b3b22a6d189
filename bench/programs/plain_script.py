"""The plain script: download each cab whole with requests, and upload it whole with the storage SDK.

As most people would write it: no session, one client, one retry policy, whatever the libraries do by default.
"""

from concurrent.futures import ThreadPoolExecutor

import msgspec
import requests
from azure.storage.blob import ContainerClient

from bench.programs.job import measured, read_job, tell

_SECONDS = 120


class ScriptJob(msgspec.Struct, frozen=True):
    """What is copied.

    Args:
        destination: The connection string of the account that is copied into.
        container: Its container.
        source: A blob's URL with its SAS; `{name}` in it stands for the name of each.
        names: The names, which the copies get too.
        threads: How many at once.
    """

    destination: str
    container: str
    source: str
    names: list[str]
    threads: int


def _main() -> None:
    job = read_job(ScriptJob)
    container = ContainerClient.from_connection_string(job.destination, job.container)

    def copy(name: str) -> None:
        response = requests.get(job.source.replace("{name}", name), timeout=_SECONDS)
        response.raise_for_status()
        container.upload_blob(name, response.content)

    def in_threads() -> None:
        with ThreadPoolExecutor(job.threads) as threads:
            list(threads.map(copy, job.names))

    tell(measured(in_threads))


if __name__ == "__main__":
    _main()
