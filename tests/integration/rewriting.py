"""A Dev Center whose answers are changed on their way: rows as no simulator would make them up."""

import json
from collections.abc import Callable
from typing import Any

import urllib3

from tests.support.loopback import Answer, Seen


def rewriting(base_url: str, edit: Callable[[list[dict[str, Any]]], None]) -> Callable[[Seen], Answer]:
    """Return what passes requests on, and lets the rows of a batch's pages be changed.

    Args:
        base_url: Who answers.
        edit: Changes a page's rows in place.
    """
    pool = urllib3.PoolManager()

    def answer(seen: Seen) -> Answer:
        headers = {name: seen.headers[name] for name in ("authorization", "accept") if name in seen.headers}
        theirs = pool.request(seen.method, base_url + seen.target, headers=headers, retries=False)
        body = theirs.data
        if "cabdownloadbatch" in seen.path and theirs.status == 200:
            page = json.loads(body)
            edit(page["Value"])
            body = json.dumps(page).encode()
        location = {"Location": theirs.headers["Location"]} if "Location" in theirs.headers else {}
        return Answer(body, theirs.status, {"Content-Type": "application/json", **location})

    return answer
