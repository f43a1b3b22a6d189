"""Name blobs that were copied before anybody told the name of their cabs: two requests each.

The metadata comes last and is what is looked at, so that a crash in between lets the next look do both again.
"""

from __future__ import annotations

import logging
from functools import partial
from typing import TYPE_CHECKING

from azure.core.exceptions import HttpResponseError

from shared.core.errors import CabferryError
from shared.core.refusals import Meaning, Where
from shared.storage.refusals import refusal_of, storage_errors

if TYPE_CHECKING:
    from collections.abc import Sequence
    from concurrent.futures import Executor

    from shared.cabs.container import CabContainer
    from shared.cabs.labels import CabLabels

_log = logging.getLogger(__name__)
type Unnamed = tuple[str, CabLabels]
# A process that is asked to end waits for these.
_MOST_AT_ONCE = 2_000


def name_blobs(container: CabContainer, unnamed: Sequence[Unnamed], executor: Executor) -> None:
    """Give blobs the metadata and tags that they lack; what is left, or refused, is found by the next look.

    Args:
        container: Where they are.
        unnamed: Blob names, and all that each should carry.
        executor: Sends requests side by side.
    """
    some = unnamed[:_MOST_AT_ONCE]
    refused = [why for why in executor.map(partial(_named, container), some) if why]
    if some:
        _log.info("%d blobs are named, of which more is known than when they were copied", len(some) - len(refused))
    if refused:
        _log.warning("%d blobs could not be named; the first: %s", len(refused), refused[0])


def _named(container: CabContainer, unnamed: Unnamed) -> str:
    """Name one, and return why that did not work; empty where it did."""
    name, labels = unnamed
    blob = container.blob(name)
    try:
        with storage_errors(name):
            try:
                blob.set_blob_tags(labels.tags)
            except HttpResponseError as error:
                if refusal_of(error).means(Where.TAGGED_BLOB) is not Meaning.TAGS_REFUSED:
                    raise
                _log.warning("%s is named without index tags: they are refused", name)
            blob.set_blob_metadata(labels.metadata)
    except CabferryError as error:
        return str(error)
    return ""
