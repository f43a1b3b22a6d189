"""A Dev Center whose answers are changed on their way: rows as no simulator would make them up."""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import urllib3

from tests.support.loopback import Answer, Seen, passed_on


def rewriting(base_url: str, edit: Callable[[list[dict[str, Any]]], None]) -> Callable[[Seen], Answer]:
    """Return what passes requests on, and lets the rows of a batch's pages be changed.

    Args:
        base_url: Who answers.
        edit: Changes a page's rows in place.
    """
    pool = urllib3.PoolManager()

    def answer(seen: Seen) -> Answer:
        theirs = passed_on(seen, base_url, pool)
        if "cabdownloadbatch" in seen.path and theirs.status == 200:
            page = json.loads(theirs.body)
            edit(page["Value"])
            return replace(theirs, body=json.dumps(page).encode())
        return theirs

    return answer
