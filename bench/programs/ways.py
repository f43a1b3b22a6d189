"""The ways to send Copy Blob From URL: the same copies, with the SDK and with other HTTP clients."""

import asyncio
import base64
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus
from http.client import HTTPConnection
from urllib.parse import urlsplit

import aiohttp
import msgspec
import pycurl
import urllib3
from azure.storage.blob import BlobServiceClient

from bench.programs.ceiling import CopyJob, copy_all, prepare, signed_headers
from bench.programs.job import measured, read_job, tell

_VERSION = "2025-05-05"


class WayJob(msgspec.Struct, frozen=True):
    """What is copied, and in which of `WAYS`."""

    way: str
    job: CopyJob


def _sdk(job: CopyJob) -> None:
    url = f"{job.endpoint}/{job.account}"
    with BlobServiceClient(url, {"account_name": job.account, "account_key": job.key}, api_version=_VERSION) as service:
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


def _http_client(job: CopyJob) -> None:
    host, key, mine = urlsplit(job.endpoint).netloc, base64.b64decode(job.key), threading.local()

    def copy(name: str) -> None:
        if not hasattr(mine, "connection"):
            mine.connection = HTTPConnection(host)
        path, headers = signed_headers(job, key, name)
        mine.connection.request("PUT", path, headers=headers)
        answer = mine.connection.getresponse()
        answer.read()
        _check(answer.status)

    with ThreadPoolExecutor(job.in_flight) as threads:
        list(threads.map(copy, job.names))


def _curl_multi(job: CopyJob) -> None:
    key, names, multi = base64.b64decode(job.key), iter(job.names), pycurl.CurlMulti()

    def send_next(handle: pycurl.Curl) -> None:
        if name := next(names, ""):
            prepare(handle, job, key, name)
            multi.add_handle(handle)

    for _ in range(job.in_flight):
        send_next(pycurl.Curl())
    while True:
        _, working = multi.perform()
        _, ended, failed = multi.info_read()
        if failed:
            raise RuntimeError(f"a copy failed: {failed[0][2]}")
        for handle in ended:
            _check(handle.getinfo(pycurl.RESPONSE_CODE))
            multi.remove_handle(handle)
            send_next(handle)
        if not ended:
            if not working:
                return
            multi.select(1.0)


def _aiohttp(job: CopyJob) -> None:
    key, names = base64.b64decode(job.key), iter(job.names)

    async def copy_some(session: aiohttp.ClientSession, mine: Iterator[str]) -> None:
        for name in mine:
            path, headers = signed_headers(job, key, name)
            url, ours_alone = job.endpoint + path, ["Content-Type"]
            async with session.put(url, headers=headers, skip_auto_headers=ours_alone) as answer:
                await answer.read()
                _check(answer.status)

    async def copy_all_of_them() -> None:
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=job.in_flight)) as session:
            await asyncio.gather(*(copy_some(session, names) for _ in range(job.in_flight)))

    asyncio.run(copy_all_of_them())


def _check(status: int) -> None:
    if status != HTTPStatus.ACCEPTED:
        raise RuntimeError(f"a copy was refused: {status}")


WAYS: dict[str, Callable[[CopyJob], None]] = {
    "azure-storage-blob, threads": _sdk,
    "urllib3, threads": _urllib3,
    "http.client, threads": _http_client,
    "aiohttp, one thread with asyncio": _aiohttp,
    "libcurl, threads": copy_all,
    "libcurl, one thread with its multi interface": _curl_multi,
}

if __name__ == "__main__":
    the_job = read_job(WayJob)
    tell(measured(lambda: WAYS[the_job.way](the_job.job)))
