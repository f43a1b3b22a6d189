"""Counterparts that tell back whatever they are told: in every answer that is not a success, and in some that are.

Every secret of this world has one word in it, so that any piece of one that the app lets out is known by sight.
"""

import base64
import json
from dataclasses import dataclass, field
from urllib.parse import parse_qs, quote, unquote, urlsplit

import urllib3

from tests.support.loopback import Answer, Seen, passed_on

WORD = "QZXJ"
TOKEN = f"{WORD}opaque{WORD}token{WORD}"
DEVICE, HARDWARE = f"s:{WORD}-2D1C-device", f"PCI\\VEN_8086&DEV_{WORD}"
_SIGNATURE = f"{WORD}%2FsignatureOf%2B{WORD}%3D"
_SAS = f"sv=2015-07-08&sr=b&sig={_SIGNATURE}&se=2099-04-28T02%3A37%3A28Z&sp=r"
_HEADER = "ApplicationId\tFailureHash\tFailureName\tDriverName\tCabIdHash\tDeviceId\tHardwareId"
APPLICATION = "13984104677400476"
# How a source ends, by the first part of its blob's name.
CAB_ENDINGS = ("200", "400", "401", "403", "404", "408", "410", "429", "500", "503", "302", "redirect", "short", "html")
BATCH_ENDINGS = ("400", "404", "408", "429", "500", "503", "302", "html", "broken", "errors", "row", "away", "again")
REFUSALS = ("401", "403")
REPORT_ENDINGS = (*CAB_ENDINGS, "headless", "moved", "oem", "packed", "named")
BYTES = b"PK\x03\x04 a cab"


@dataclass(slots=True)
class Telltale:
    """A Dev Center, its report files and its cabs on one address.

    Args:
        url: That address.
    """

    url: str = ""

    def answer(self, seen: Seen) -> Answer:
        """Answer as the request's own path, failure hash or report id says."""
        path = unquote(seen.path)
        if path == "/analytics/driver/report":
            rows = [{"reportId": f"report-{ending}", "isActive": True} for ending in REPORT_ENDINGS]
            return _json({"data": rows, "errors": []})
        if path.startswith("/analytics/driver/reportdata/"):
            return self._report(path.rsplit("report-", 1)[1])
        if path.endswith("/cabdownloadbatch"):
            return self._batch(seen, seen.query["failureHash"])
        kind, ending, *_ = path.strip("/").split("/")
        return self._file(seen, ending, _report_file(ending) if kind == "report" else BYTES)

    def _report(self, ending: str) -> Answer:
        run = {
            "ReportDatetime": f"2026-11-20T05:35:32?{_SAS}" if ending == "named" else "2026-11-20T05:35:32",
            "ReportStatus": "Completed",
            "ReportLocation": f"{self.url}/report/{ending}/1.txt?{_SAS}",
        }
        pending = {**run, "ReportDatetime": "2026-11-19T05:35:32", "ReportStatus": f"Pending: sig={_SIGNATURE}"}
        return _json({"data": [run, *([pending] if ending == "named" else [])], "errors": []})

    def _batch(self, seen: Seen, ending: str) -> Answer:
        if ending.isdecimal():
            return self._ended(seen, ending)
        told = _told_back(seen)
        rows = [self._row(f"{ending}-{cab}", cab) for cab in (CAB_ENDINGS if ending == "cabs" else ("200",))]
        odd = [{"cabUrl": rows[0]["cabUrl"]}, {**rows[0], "cabIdHash": rows[0]["cabUrl"]}, told, None, 7]
        away, again = (
            f"https://evil.example/next?{_SAS}&token={TOKEN}",
            f"driver/cabdownloadbatch?failureHash=400&{_SAS}",
        )
        answers = {
            "html": Answer(f"<html>{told}</html>".encode()),
            "broken": Answer(json.dumps({"Value": told}).encode()[:-1]),
            "errors": _json({"Value": None, "errors": [told]}, 400),
            "row": _json({"Value": [*rows, *odd], "@nextLink": None}),
            "away": _json({"Value": rows, "@nextLink": away}),
            "again": _json({"Value": rows, "@nextLink": again}),
        }
        return answers.get(ending, _json({"Value": rows, "@nextLink": None, "TotalCount": len(rows)}))

    def _row(self, cab: str, ending: str) -> dict[str, str]:
        return {
            "applicationId": APPLICATION,
            "submissionId": f"29989690?{_SAS}",
            "failureHash": "x",
            "cabIdHash": cab,
            "cabUrl": f"{self.url}/cab/{ending}/{cab}.ext.zip?{_SAS}",
            "date": "2026-11-07 13:53:43",
            "cabExpirationTime": "2099-05-07 13:53:43",
        }

    def _file(self, seen: Seen, ending: str, content: bytes) -> Answer:
        if seen.method == "HEAD" and ending != "410":
            return Answer(content)  # so that the GET is asked too, whose answer has a body
        match ending:
            case "redirect":
                return Answer(status=302, headers={"Location": f"https://evil.example/{WORD}?{_SAS}"})
            case "short":
                return Answer(content, sent=3)
            case "html":
                return Answer(f"<html>{_told_back(seen)}</html>".encode())
            case ending if ending.isdecimal() and ending != "200":
                return self._ended(seen, ending)
            case _:
                return Answer(content)

    def _ended(self, seen: Seen, ending: str) -> Answer:
        headers = {"x-ms-error-code": _told_back(seen)[:2_000]} if ending in {"400", "410"} else {}
        return Answer(_told_back(seen).encode(), int(ending), headers)


@dataclass(frozen=True, slots=True)
class TelltaleStorage:
    """Stands before one service of storage, passes requests on, and refuses those for some failures.

    Args:
        endpoint: The service behind it.
        key: The account's, which is told back too.
    """

    endpoint: str
    key: str
    _pool: urllib3.PoolManager = field(default_factory=lambda: urllib3.PoolManager(maxsize=64))

    def answer(self, seen: Seen) -> Answer:
        """Answer as the blob's name says, or as storage does."""
        for ending in ("400", "403", "409", "412", "500"):
            if f"/storage-{ending}" in unquote(seen.path) and seen.method == "PUT":
                return Answer(f"{_told_back(seen)} {self.key}".encode(), int(ending))
        parts = urlsplit(self.endpoint)
        return passed_on(seen, f"{parts.scheme}://{parts.netloc}", self._pool)


def _json(body: object, status: int = 200) -> Answer:
    return Answer(json.dumps(body).encode(), status, {"Content-Type": "application/json"})


def _told_back(seen: Seen) -> str:
    """Return the request as a careless error page shows it: whole, in pieces, and in other spellings."""
    token = seen.headers.get("authorization", "").removeprefix("Bearer ")
    signatures = parse_qs(urlsplit(seen.target).query).get("sig", [])
    # What the source is asked with is told in a header of the copy.
    signatures += parse_qs(urlsplit(seen.headers.get("x-ms-copy-source", "")).query).get("sig", [])
    pieces = [
        *(token, quote(token, safe=""), f"token {token} is bad", json.dumps({"token": token})),
        *(piece for each in signatures for piece in (f"sig={each}", f"?sv=1&sig={quote(each, safe='')}")),
        *([] if "x-ms-copy-source" in seen.headers else signatures),
        json.dumps({"DeviceId": DEVICE, "HardwareId": HARDWARE}),
        f"{seen.method} {seen.target}",
        *(f"{name}: {value}" for name, value in seen.headers.items()),
    ]
    return " ".join(pieces)


def _report_file(ending: str) -> bytes:
    row = [APPLICATION, f"of-{ending}", f"0x9F?{_SAS}", "contoso.sys", f"cab-{ending}", DEVICE, HARDWARE]
    match ending:
        case "headless":
            lines = ["\t".join(row)] * 3
        case "moved":
            lines = [_HEADER, "\t".join([*row[:4], *row[5:], DEVICE, HARDWARE, "1"]), "\t".join(row[:3])]
        case "oem":
            lines = ["FailureHash\tDeviceId\tHardwareId", f"x\t{DEVICE}\t{HARDWARE}"]
        case "packed":
            return b"\x1f\x8b" + base64.b64encode("\t".join(row).encode())
        case _:
            lines = [_HEADER, "\t".join(row)]
    return "\n".join(lines).encode()
