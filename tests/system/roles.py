"""What Azure's roles allow, before an Azurite that knows no roles: each service refuses what no role of the app has."""

import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import urllib3

from local.azurite.server import Azurite
from local.simulator.certificates import Certificates
from tests.support.loopback import Answer, LoopbackServer, Seen, passed_on

_REFUSED = Answer(
    b'<?xml version="1.0" encoding="utf-8"?><Error><Code>AuthorizationPermissionMismatch</Code>'
    b"<Message>This request is not authorized to perform this operation using this permission.</Message></Error>",
    403,
    {"x-ms-error-code": "AuthorizationPermissionMismatch", "Content-Type": "application/xml"},
)
_TABLES = r"(reports|pulls|cabs|failures|health)(\(.*\))?"
_BATCHED = re.compile(rb"^(?:POST|PUT|PATCH|MERGE|DELETE) \S+?/identity\d+/(\w+)", re.MULTILINE)


@dataclass(slots=True)
class Roles:
    """The role assignments of an identity, as infra/app/rbac.bicep makes them; each may be taken away.

    Args:
        blobs: Read and write blobs of the container.
        tags: Write index tags with them.
        delete_probes: Delete blobs of the preflight.
        delegate: Ask for a key to sign a SAS with.
        queues: Use the four queues.
        tables: Use the four tables.
    """

    blobs: bool = True
    tags: bool = True
    delete_probes: bool = True
    delegate: bool = True
    queues: bool = True
    tables: bool = True

    def allow(self, service: str, seen: Seen) -> bool:
        """Tell whether a request is allowed.

        Args:
            service: Blob, Queue or Table.
            seen: The request.
        """
        _, _, rest = seen.path.lstrip("/").partition("/")
        match service:
            case "Blob":
                return self._blob(seen, rest)
            case "Queue":
                return self.queues and re.fullmatch(r"cab-pulls(-checks)?(-poison)?(/.*)?", rest) is not None
        if rest == "$batch":
            return self.tables and all(re.fullmatch(_TABLES, name.decode()) for name in _BATCHED.findall(seen.body))
        return self.tables and re.fullmatch(_TABLES, rest) is not None

    def _blob(self, seen: Seen, rest: str) -> bool:
        if seen.query.get("comp") == "userdelegationkey":
            return self.delegate
        container, _, blob = rest.partition("/")
        if container != "failure-cabs" or (not blob and seen.method != "GET"):
            return False
        if seen.method == "DELETE":
            return blob.startswith("_catalog/") or (self.delete_probes and blob.startswith("_preflight/"))
        return self.blobs and (self.tags or "x-ms-tags" not in seen.headers)


@contextmanager
def guarded(azurite: Azurite, account: str, certificates: Certificates, roles: Roles) -> Iterator[dict[str, str]]:
    """Stand before the services of an account; yields their addresses as the settings of an identity.

    Args:
        azurite: Speaks HTTPS with the same certificates.
        account: The account's name.
        certificates: What to speak HTTPS with.
        roles: May be changed at any time.
    """
    pool = urllib3.PoolManager(maxsize=64, ca_certs=str(certificates.authority))

    def service(name: str, uri: str) -> LoopbackServer:
        origin = uri.removesuffix(f"/{account}")

        def answer(seen: Seen) -> Answer:
            if not roles.allow(name, seen):
                return _REFUSED
            return passed_on(seen, origin, pool)

        return LoopbackServer(answer, certificates.server_context())

    with ExitStack() as servers:
        yield {
            f"CAB_STORAGE__{name.lower()}ServiceUri": f"{servers.enter_context(service(name, uri)).url}/{account}"
            for name, uri in azurite.uris(account).items()
        }
