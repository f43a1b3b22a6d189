"""Which cab a blob is, and where a cab stands: no two cabs share a name, and no name alone makes a blob a cab."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import unquote

from shared.core.errors import BadInput
from shared.core.failure import checked_cab_id

if TYPE_CHECKING:
    from collections.abc import Mapping

    from shared.core.failure import Failure

_EXTENSION = re.compile(r"(?:\.[0-9A-Za-z]{1,16}){1,4}")
# What a cab's source was seen to end in. A blob without metadata that ends otherwise is something beside a cab.
_CAB_EXTENSIONS = {".ext.zip", ".zip", ".ext.cab", ".cab"}
# An id holds none. It stands for a dot, which begins the extension: `a` with `.b.zip` and `a.b` with `.zip` are two.
_DOT = "~"
# Says of a cab that failed that the blob in its place is not taken for it.
MOVE_IT_AWAY = "move the blob away and pull again"
_BEFORE = "; before that: "
_NAMED = ("applicationid", "failurehash", "cabidhash")


def still_in_the_way(before: str, error: str) -> str:
    """Return why a cab was not copied, and what was in its way at an earlier try: a blob that is not taken for it.

    Args:
        before: What its row says.
        error: Why it was not copied now.
    """
    if MOVE_IT_AWAY not in before or MOVE_IT_AWAY in error:
        return error
    return f"{error}{_BEFORE}{before.rpartition(_BEFORE)[2]}"


def blob_name(failure: Failure, cab_id_hash: str, source_path: str) -> str:
    """Return where a cab stands in the container: prefix, cabIdHash and the source's extension.

    Args:
        failure: The cab's failure.
        cab_id_hash: The cab's identity, checked.
        source_path: The path of the cabUrl; `.ext.zip` in the sample, and undocumented, so it is kept as it is.
    """
    name = source_path.rsplit("/", 1)[-1]
    extension = name.removeprefix(cab_id_hash) if name.startswith(cab_id_hash) else name[name.find(".") :]
    return failure.prefix + _stem(cab_id_hash) + (extension if _EXTENSION.fullmatch(extension) else "")


def cab_in(blob_name: str, metadata: Mapping[str, str]) -> str:
    """Return the cabIdHash of the cab that a blob is; empty where it is none.

    A blob is the cab that its metadata names, under a name that this cab can have had. One without such metadata,
    which somebody else put there, is a cab where its name is exactly one that a cab has.

    Args:
        blob_name: The whole name.
        metadata: As it is stored.
    """
    parts = blob_name.split("/")
    if len(parts) != len(_NAMED):
        return ""
    told = named_in(metadata)
    if not any(told):
        stem, dot, extension = parts[2].partition(".")
        return _checked(stem.replace(_DOT, ".")) if dot + extension in _CAB_EXTENSIONS else ""
    cab = _checked(told[2])
    # Names from before a dot in an id was written otherwise are still the cab's.
    rests = [parts[2][len(stem) :] for stem in (_stem(cab), cab) if parts[2].lower().startswith(stem.lower())]
    is_here = [each.lower() for each in told[:2]] == [each.lower() for each in parts[:2]]
    return cab if cab and is_here and any(not rest or _EXTENSION.fullmatch(rest) for rest in rests) else ""


def named_in(metadata: Mapping[str, str]) -> tuple[str, ...]:
    """Return applicationId, failureHash and cabIdHash as metadata tells them, in whatever case its names came."""
    told = {name.lower(): value for name, value in metadata.items()}
    return tuple(unquote(told.get(name, "")) for name in _NAMED)


def _stem(cab_id_hash: str) -> str:
    return cab_id_hash.replace(".", _DOT)


def _checked(cab_id_hash: str) -> str:
    try:
        return checked_cab_id(cab_id_hash)
    except BadInput:
        return ""
