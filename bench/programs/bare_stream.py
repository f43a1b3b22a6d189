"""A bare streaming copy: read the source a chunk at a time, write each as a block, commit; no check of anything."""

import msgspec
import urllib3
from azure.storage.blob import BlobBlock, BlobClient

from bench.programs.job import measured, read_job, tell

_CHUNK = 8 * 1024 * 1024


class StreamJob(msgspec.Struct, frozen=True):
    """What is streamed.

    Args:
        url: The source.
        destination: The connection string of the account that is copied into.
        container: Its container.
        name: The blob's name.
    """

    url: str
    destination: str
    container: str
    name: str


def _stream(job: StreamJob) -> None:
    blob = BlobClient.from_connection_string(job.destination, job.container, job.name, max_single_put_size=_CHUNK)
    blocks: list[BlobBlock] = []
    response = urllib3.PoolManager().request("GET", job.url, preload_content=False)
    while chunk := response.read(_CHUNK):
        blocks.append(BlobBlock(f"{len(blocks):08}"))
        blob.stage_block(blocks[-1].id, chunk)
    blob.commit_block_list(blocks)


if __name__ == "__main__":
    the_job = read_job(StreamJob)
    tell(measured(lambda: _stream(the_job)))
