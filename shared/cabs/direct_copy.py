"""Copy Blob From URL: the one request that is made for every cab."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING
from urllib.parse import quote, urlencode

from shared.core import telemetry
from shared.storage.service import StorageRequest, StorageService

if TYPE_CHECKING:
    from shared.cabs.labels import CabLabels


class DirectCopy:
    """Copy blobs into one container, each with a single request that moves no byte through this process.

    The request: https://learn.microsoft.com/rest/api/storageservices/copy-blob-from-url

    Args:
        service: The blob service.
        container: The container's name.
    """

    def __init__(self, service: StorageService, container: str) -> None:
        self._service, self._path = service, f"{service.base_path}/{container}/"

    def copy(self, blob_name: str, source_url: str, labels: CabLabels, instead_of: str = "") -> None:
        """Copy one blob, unless there is one of that name.

        Args:
            blob_name: Where it goes.
            source_url: What is copied, with its SAS, byte for byte.
            labels: What the new blob carries.
            instead_of: The etag of the one blob that may be replaced; empty for none.

        Raises:
            RefusedError: The service refused; among the reasons, that the blob exists.
            AgainLater: The service is busy or not to be reached, even after some tries.
        """
        tags = {"x-ms-tags": urlencode(labels.tags)} if labels.tags else {}
        headers = {
            "x-ms-copy-source": source_url,
            "x-ms-requires-sync": "true",
            **({"If-Match": instead_of} if instead_of else {"If-None-Match": "*"}),
            **{f"x-ms-meta-{name}": value for name, value in labels.metadata.items()},
            **tags,
            # The row of it in StorageBlobLogs has this as ClientRequestId, and so is found with the pull.
            **({"x-ms-client-request-id": trace} if (trace := telemetry.traceparent()) else {}),
        }
        request = StorageRequest("PUT", self._path + quote(blob_name, safe="/~"), {}, headers)
        self._service.send(request, blob_name, HTTPStatus.ACCEPTED)
