"""A blob service as far as Cabferry's first way of copying asks for one: copies are only remembered, and listed.

The protocol: https://learn.microsoft.com/rest/api/storageservices/blob-service-rest-api
"""

from http import HTTPStatus
from xml.sax.saxutils import escape

from aiohttp import web

from bench.shaped.delays import Delays

_DATE = "Mon, 05 Oct 2026 10:00:00 GMT"
_LARGEST_PAGE = 5_000


class Blobs:
    """One container.

    Args:
        delays: How long answers take.
        size: Bytes of every source.
    """

    def __init__(self, delays: Delays, size: int) -> None:
        self._delays, self._size = delays, size
        self._names: set[str] = set()

    def routes(self) -> list[web.RouteDef]:
        """Return what it answers."""
        return [
            web.put("/{account}/{container}", self._create_container),
            web.get("/{account}/{container}", self._list),
            web.put("/{account}/{container}/{name:.+}", self._copy),
        ]

    async def _create_container(self, _: web.Request) -> web.Response:
        async with self._delays.taking("list"):
            return web.Response(status=HTTPStatus.CONFLICT, headers={"x-ms-error-code": "ContainerAlreadyExists"})

    async def _copy(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        if "x-ms-copy-source" not in request.headers:
            return web.Response(status=HTTPStatus.NOT_IMPLEMENTED, headers={"x-ms-error-code": "NotImplemented"})
        if name in self._names:
            return web.Response(status=HTTPStatus.CONFLICT, headers={"x-ms-error-code": "BlobAlreadyExists"})
        async with self._delays.taking("copy", self._size):
            self._names.add(name)
            return web.Response(status=HTTPStatus.ACCEPTED, headers={"x-ms-copy-status": "success"})

    async def _list(self, request: web.Request) -> web.Response:
        async with self._delays.taking("list"):
            return self._listing(request)

    def _listing(self, request: web.Request) -> web.Response:
        prefix, after = request.query.get("prefix", ""), request.query.get("marker", "")
        most = int(request.query.get("maxresults", _LARGEST_PAGE))
        names = sorted(name for name in self._names if name.startswith(prefix) and name >= after)
        following = names[most] if len(names) > most else ""
        blobs = "".join(self._blob(name) for name in names[:most])
        body = (
            f'<?xml version="1.0" encoding="utf-8"?><EnumerationResults ContainerName="cabs"><Blobs>{blobs}</Blobs>'
            f"<NextMarker>{escape(following)}</NextMarker></EnumerationResults>"
        )
        return web.Response(text=body, content_type="application/xml")

    def _blob(self, name: str) -> str:
        return (
            f"<Blob><Name>{escape(name)}</Name><Properties><Creation-Time>{_DATE}</Creation-Time><Last-Modified>{_DATE}"
            f"</Last-Modified><Etag>0x1</Etag><Content-Length>{self._size}</Content-Length>"
            "<Content-Type>application/octet-stream</Content-Type><Content-MD5>1B2M2Y8AsgTpgAmY7PhCfg==</Content-MD5>"
            "<BlobType>BlockBlob</BlobType></Properties></Blob>"
        )
