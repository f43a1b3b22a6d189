"""A table service as far as Cabferry asks for one: rows with etags, transactions, queries by partition.

The protocol: https://learn.microsoft.com/rest/api/storageservices/table-service-rest-api
"""

import itertools
import json
import re
from collections import defaultdict
from http import HTTPStatus
from typing import Any
from urllib.parse import unquote

import msgspec
from aiohttp import web

from bench.shaped.delays import Delays

_ENTITY = re.compile(r"(\w+)\(PartitionKey='([^']*)',RowKey='([^']*)'\)$")
_INNER = re.compile(
    r"^(PATCH|PUT|POST|MERGE) \S+?/([^/\s]+) HTTP/1\.1\r\n(.*?)\r\n\r\n(\{.*?\})\s*^--", re.DOTALL | re.MULTILINE
)
_EQUAL = re.compile(r"(PartitionKey|state) eq '([^']*)'")
_PAGE = 1_000

type _Key = tuple[str, str, str]


class Tables:
    """All tables of one account, in memory.

    Args:
        delays: How long answers take.
    """

    def __init__(self, delays: Delays) -> None:
        self._delays = delays
        self._partitions: dict[tuple[str, str], dict[str, dict[str, Any]]] = defaultdict(dict)
        self._versions = itertools.count(1)

    def routes(self) -> list[web.RouteDef]:
        """Return what it answers."""
        return [
            web.post("/{account}/Tables", self._create_table),
            web.post("/{account}/$batch", self._transaction),
            web.get("/{account}/{target:[^/]+}", self._read),
            web.post("/{account}/{target:[^/]+}", self._insert),
            web.route("PATCH", "/{account}/{target:[^/]+}", self._merge),
        ]

    async def _create_table(self, _: web.Request) -> web.Response:
        async with self._delays.taking("table"):
            return _error(HTTPStatus.CONFLICT, "TableAlreadyExists")

    async def _read(self, request: web.Request) -> web.Response:
        async with self._delays.taking("table"):
            return self._found(request)

    def _found(self, request: web.Request) -> web.Response:
        target = request.match_info["target"]
        if key := _key(target):
            row = self._partitions[key[:2]].get(key[2])
            return web.json_response(row) if row else _error(HTTPStatus.NOT_FOUND, "ResourceNotFound")
        table, where = target.removesuffix("()"), request.query.get("$filter", "")
        wanted = _EQUAL.findall(where)
        named = {partition for name, partition in wanted if name == "PartitionKey"}
        after = (request.query.get("NextPartitionKey", ""), request.query.get("NextRowKey", ""))
        keys = sorted(
            (*of, row_key)
            for of, rows in self._partitions.items()
            if of[0] == table and (not named or of[1] in named)
            for row_key, row in rows.items()
            if (of[1], row_key) >= after and _fits(row, wanted, either=" or " in where)
        )
        headers = {}
        if len(keys) > _PAGE:
            headers = {
                "x-ms-continuation-NextPartitionKey": keys[_PAGE][1],
                "x-ms-continuation-NextRowKey": keys[_PAGE][2],
            }
        found = [self._partitions[key[:2]][key[2]] for key in keys[:_PAGE]]
        return web.Response(
            body=msgspec.json.encode({"value": found}), content_type="application/json", headers=headers
        )

    async def _insert(self, request: web.Request) -> web.Response:
        body = await request.json()
        async with self._delays.taking("table"):
            return self._inserted(request, body)

    def _inserted(self, request: web.Request, body: dict[str, Any]) -> web.Response:
        key = (request.match_info["target"], body["PartitionKey"], body["RowKey"])
        if self._has(key):
            return _error(HTTPStatus.CONFLICT, "EntityAlreadyExists")
        return web.json_response(self._put(key, body), status=HTTPStatus.CREATED, headers={"ETag": self._etag(key)})

    async def _merge(self, request: web.Request) -> web.Response:
        body = await request.json()
        async with self._delays.taking("table"):
            return self._merged(request, body)

    def _merged(self, request: web.Request, body: dict[str, Any]) -> web.Response:
        key = _key(request.match_info["target"])
        if key is None or not self._matches(key, request.headers.get("If-Match", "*")):
            return _error(HTTPStatus.PRECONDITION_FAILED, "UpdateConditionNotSatisfied")
        self._put(key, body)
        return web.Response(status=HTTPStatus.NO_CONTENT, headers={"ETag": self._etag(key)})

    async def _transaction(self, request: web.Request) -> web.Response:
        text = (await request.read()).decode()
        async with self._delays.taking("table"):
            return self._done(text)

    def _done(self, text: str) -> web.Response:
        writes: list[tuple[str, _Key, str, dict[str, Any]]] = []
        for method, target, headers, body in _INNER.findall(text):
            row = json.loads(body)
            key = _key(target) or (target, row["PartitionKey"], row["RowKey"])
            match = re.search(r"If-Match: (\S+)", headers)
            writes.append((method, key, match[1] if match else "*", row))
        for number, (method, key, etag, _) in enumerate(writes):
            taken = self._has(key) if method == "POST" else not self._matches(key, etag)
            if taken:
                code = "EntityAlreadyExists" if method == "POST" else "UpdateConditionNotSatisfied"
                return _answered([(HTTPStatus.CONFLICT, "", f"{number}:{code}")])
        for _, key, _, row in writes:
            self._put(key, row)
        return _answered([(HTTPStatus.NO_CONTENT, self._etag(key), "") for _, key, _, _ in writes])

    def _put(self, key: _Key, columns: dict[str, Any]) -> dict[str, Any]:
        row = {**self._partitions[key[:2]].get(key[2], {}), **columns, "PartitionKey": key[1], "RowKey": key[2]}
        row["odata.etag"] = f'W/"{next(self._versions)}"'
        self._partitions[key[:2]][key[2]] = row
        return row

    def _has(self, key: _Key) -> bool:
        return key[2] in self._partitions[key[:2]]

    def _etag(self, key: _Key) -> str:
        return str(self._partitions[key[:2]][key[2]]["odata.etag"])

    def _matches(self, key: _Key, etag: str) -> bool:
        return etag == "*" or (self._has(key) and self._etag(key) == etag)


def _key(target: str) -> _Key | None:
    found = _ENTITY.match(unquote(target))
    return (found[1], found[2], found[3]) if found else None


def _fits(row: dict[str, Any], wanted: list[tuple[str, str]], *, either: bool) -> bool:
    told = [row.get(name) == value for name, value in wanted]
    return any(told) if either else all(told)


def _error(status: HTTPStatus, code: str) -> web.Response:
    body = {"odata.error": {"code": code, "message": {"lang": "en-US", "value": code}}}
    return web.json_response(body, status=status, headers={"x-ms-error-code": code})


def _answered(parts: list[tuple[HTTPStatus, str, str]]) -> web.Response:
    """Answer a transaction: one part for each write, or a single one that says why nothing was written."""
    lines = ["--batchresponse", "Content-Type: multipart/mixed; boundary=changesetresponse", ""]
    for status, etag, code in parts:
        lines += ["--changesetresponse", "Content-Type: application/http", "Content-Transfer-Encoding: binary", ""]
        lines += [f"HTTP/1.1 {status.value} {status.phrase}", "Content-Type: application/json"]
        lines += [f"ETag: {etag}", "", ""] if etag else ["", _batch_error(code)]
    lines += ["--changesetresponse--", "--batchresponse--", ""]
    content_type = {"Content-Type": "multipart/mixed; boundary=batchresponse"}
    return web.Response(body="\r\n".join(lines), status=HTTPStatus.ACCEPTED, headers=content_type)


def _batch_error(code: str) -> str:
    number, _, name = code.partition(":")
    return json.dumps({"odata.error": {"code": name, "message": {"lang": "en-US", "value": f"{number}:{name}"}}})
