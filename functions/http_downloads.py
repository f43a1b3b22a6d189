"""Fetch a cab: by a link of some minutes where the app's identity can sign one, else part by part through the app."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING

import azure.functions as func

from functions.callers import CALLER
from functions.http_answers import Problem, answer, answering
from shared.core.events import CAB_FETCHED

if TYPE_CHECKING:
    from shared.api.downloads import HeldCab

blueprint = func.Blueprint(http_auth_level=func.AuthLevel.FUNCTION)


@blueprint.route("failures/{applicationId}/{failureHash}/cabs/{cabIdHash}/link", methods=["POST"])
@answering()
def link_cab(req: func.HttpRequest) -> func.HttpResponse:
    """Make a link that reads one cab for some minutes; 409 where the app has no identity that could sign it."""
    from shared.api.bodies import body_of
    from shared.api.downloads import CabLink
    from shared.services import services

    cab, links = _held(req), services().cab_links
    link = links.to(cab.blob_name) if links else None
    if link is None:
        raise Problem(
            HTTPStatus.CONFLICT,
            "the app has no identity at its storage that may sign a link: GET the cab's content, part by part",
        )
    _tell("link", cab)
    url, expires_at = link
    return answer(body_of(CabLink, url=url, expires_at=expires_at), headers={"Cache-Control": "no-store"})


@blueprint.route("failures/{applicationId}/{failureHash}/cabs/{cabIdHash}/content", methods=["GET", "HEAD"])
@answering()
def fetch_cab(req: func.HttpRequest) -> func.HttpResponse:
    """Return a cab, or the part that its Range asks for: at most 8 MiB, since the worker holds an answer in memory."""
    from shared.api.downloads import MOST_BYTES, BytesAsked

    cab = _held(req)
    header = req.headers.get("Range")
    asked = BytesAsked.parse(header)
    part = cab.read(asked)
    if part and header and req.headers.get("If-Range", part.etag) != part.etag:
        # Of another blob than the parts before: all of this one is wanted (RFC 9110, section 13.1.5).
        header, asked = None, BytesAsked.parse(None)
        part = cab.read(asked)
    if part is None:
        told = f"{cab.blob_name} has {cab.length} bytes, and none from {asked.first} on"
        raise Problem(HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE, told)
    if (wanted := req.headers.get("If-Match")) and wanted != part.etag:
        raise Problem(HTTPStatus.PRECONDITION_FAILED, f"{cab.blob_name} is not the blob that it was: begin again")
    if header is None and part.total > len(part.body):
        # Half a cab would look whole to who did not ask for a part.
        raise Problem(
            HTTPStatus.BAD_REQUEST,
            f"{cab.blob_name} has {part.total} bytes, and an answer at most {MOST_BYTES}: ask for one part after the "
            f"other, the first by Range: bytes=0-{MOST_BYTES - 1}, or POST .../link in place of .../content",
        )
    if asked.first == 0 or not wanted:
        # Not for each further part of one download, which names the blob of the first.
        _tell("content", cab)
    name = cab.blob_name.rpartition("/")[2]
    headers = {
        "Content-Disposition": f'attachment; filename="{name}"',
        "ETag": part.etag,
        "Accept-Ranges": "bytes",
        "Cache-Control": "no-store",
        "X-Content-Type-Options": "nosniff",
    }
    status = HTTPStatus.OK
    if header is not None:
        status = HTTPStatus.PARTIAL_CONTENT
        headers["Content-Range"] = f"bytes {asked.first}-{asked.first + len(part.body) - 1}/{part.total}"
    return func.HttpResponse(part.body, status_code=status, headers=headers, mimetype="application/octet-stream")


def _held(req: func.HttpRequest) -> HeldCab:
    from shared.api.downloads import held_cab
    from shared.services import services

    parts = req.route_params
    cab = held_cab(services(), parts["applicationId"], parts["failureHash"], parts["cabIdHash"])
    if cab is None:
        raise Problem(HTTPStatus.NOT_FOUND, f"cab {parts['cabIdHash']} is not in the container")
    return cab


def _tell(how: str, cab: HeldCab) -> None:
    CAB_FETCHED.tell(blob=cab.blob_name, by=CALLER.get() or "a function key", how=how)
