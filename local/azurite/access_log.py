"""Read Azurite's access log: one line a request, as the `common` format of morgan writes it."""

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self
from urllib.parse import parse_qs, unquote, urlsplit

_LINE = re.compile(r'\S+ \S+ \S+ \[[^\]]*\] "(?P<method>[A-Z]+) (?P<target>\S+) HTTP/[\d.]+" (?P<status>\d{3}|-)')
_CREATED = {201, 202}


@dataclass(frozen=True, slots=True)
class StorageRequest:
    """One request that Azurite answered. Its query is left out but for what it asks for: a query may hold a SAS.

    Args:
        method: The HTTP method.
        account: The first segment of the path.
        path: What follows the account, unquoted, with its leading slash; `/` for the service itself.
        comp: The query's `comp` (`copy`, `block`, `list`, ..), empty where there is none.
        restype: The query's `restype` (`container`, `service`), empty where there is none.
        status: The answer's status; None when the client went away before it.
    """

    method: str
    account: str
    path: str
    comp: str
    restype: str
    status: int | None

    @classmethod
    def from_line(cls, line: str) -> Self | None:
        """Parse one line of Azurite's output; None where it is not of the access log."""
        found = _LINE.match(line)
        if found is None:
            return None
        target = urlsplit(found["target"])
        _, _, rest = target.path.partition("/")
        account, _, path = rest.partition("/")
        query = parse_qs(target.query)
        return cls(
            method=found["method"],
            account=unquote(account),
            path="/" + unquote(path),
            comp=query.get("comp", [""])[0],
            restype=query.get("restype", [""])[0],
            status=None if found["status"] == "-" else int(found["status"]),
        )

    @property
    def is_queue_message(self) -> bool:
        """Whether it put, got, updated or deleted messages of a queue (`/{queue}/messages`)."""
        parts = self.path.split("/")
        return len(parts) >= 3 and parts[2] == "messages"  # noqa: PLR2004 (empty, queue, messages)


def creations(requests: Iterable[StorageRequest], container: str) -> Counter[str]:
    """Return how often each cab of a container was made, by a copy, an upload or a list of blocks.

    Args:
        requests: Of the container's account.
        container: Its name.
    """
    prefix = f"/{container}/"
    return Counter(
        request.path.removeprefix(prefix)
        for request in requests
        if request.method == "PUT"
        and request.path.startswith(prefix)
        and not request.path.startswith(f"{prefix}_")  # the catalog and probes
        and request.comp in {"", "blocklist"}
        and request.status in _CREATED
    )
