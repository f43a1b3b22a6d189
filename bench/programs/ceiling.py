"""The ceiling: a minimal client that does nothing but concurrent Copy Blob From URL.

It signs each request and sends it with libcurl from as many threads as copies are wanted in flight. No API, no tables,
no check of what was copied: nothing that copies on the same machine in this way can be faster by much.
"""

import base64
import hashlib
import hmac
import threading
from collections.abc import Iterator
from email.utils import formatdate
from http import HTTPStatus

import msgspec
import pycurl

from bench.programs.job import measured, read_job, tell

_VERSION = "2025-05-05"


class CopyJob(msgspec.Struct, frozen=True):
    """What is copied.

    Args:
        endpoint: Scheme, host and port of the blob service.
        account: The account that is copied into.
        key: Its key, base64.
        container: The container that is copied into.
        source: A blob's URL with its SAS; `{name}` in it stands for the name of each.
        names: The names, which the copies get too.
        in_flight: How many copies at once.
    """

    endpoint: str
    account: str
    key: str
    container: str
    source: str
    names: list[str]
    in_flight: int


def copy_all(job: CopyJob) -> None:
    """Copy every blob of a job.

    Args:
        job: What is copied.

    Raises:
        RuntimeError: A copy was refused.
    """
    key, names, lock = base64.b64decode(job.key), iter(job.names), threading.Lock()
    failures: list[str] = []

    def work() -> None:
        handle = pycurl.Curl()
        while not failures and (name := _next(names, lock)):
            prepare(handle, job, key, name)
            body, status = handle.perform_rb(), handle.getinfo(pycurl.RESPONSE_CODE)
            if status != HTTPStatus.ACCEPTED:
                failures.append(f"{status} {body.decode('utf-8', 'replace')}")
        handle.close()

    threads = [threading.Thread(target=work) for _ in range(job.in_flight)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise RuntimeError(f"a copy was refused: {failures[0]}")


def prepare(handle: pycurl.Curl, job: CopyJob, key: bytes, name: str) -> None:
    """Let a handle of libcurl send one copy's request next.

    Args:
        handle: Used for nothing else.
        job: What is copied.
        key: The account's key, decoded.
        name: Which of the blobs.
    """
    path, headers = signed_headers(job, key, name)
    handle.setopt(pycurl.URL, job.endpoint + path)
    handle.setopt(pycurl.POSTFIELDS, b"")
    handle.setopt(pycurl.CUSTOMREQUEST, "PUT")
    handle.setopt(
        pycurl.HTTPHEADER, [f"{header}: {value}" for header, value in {**headers, "Content-Type": ""}.items()]
    )
    handle.setopt(pycurl.NOSIGNAL, 1)


def signed_headers(job: CopyJob, key: bytes, name: str) -> tuple[str, dict[str, str]]:
    """Return the path of one copy's request, and its headers.

    Args:
        job: What is copied.
        key: The account's key, decoded.
        name: Which of the blobs.
    """
    path = f"/{job.account}/{job.container}/{name}"
    headers = _headers(job.source.replace("{name}", name))
    headers["Authorization"] = _signature(job.account, key, path, headers)
    return path, headers


def _next(names: Iterator[str], lock: threading.Lock) -> str | None:
    with lock:
        return next(names, None)


def _headers(source: str) -> dict[str, str]:
    return {
        "x-ms-version": _VERSION,
        "x-ms-date": formatdate(usegmt=True),
        "x-ms-copy-source": source,
        "x-ms-requires-sync": "true",
        "If-None-Match": "*",
        "Content-Length": "0",
    }


def _signature(account: str, key: bytes, path: str, headers: dict[str, str]) -> str:
    ours = sorted((name.lower(), value) for name, value in headers.items() if name.lower().startswith("x-ms-"))
    lines = "".join(f"{name}:{value}\n" for name, value in ours)
    text = f"PUT\n\n\n\n\n\n\n\n\n*\n\n\n{lines}/{account}{path}"
    digest = hmac.new(key, text.encode(), hashlib.sha256).digest()
    return f"SharedKey {account}:{base64.b64encode(digest).decode()}"


if __name__ == "__main__":
    the_job = read_job(CopyJob)
    tell(measured(lambda: copy_all(the_job)))
