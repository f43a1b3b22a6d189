"""Links that read one blob for some minutes, signed by the app's identity and by no key of the account."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from azure.core.exceptions import HttpResponseError
from azure.storage.blob import BlobSasPermissions, generate_blob_sas

from shared.core import clock
from shared.core.refusals import Meaning
from shared.storage.refusals import refusal_of, storage_errors

if TYPE_CHECKING:
    from datetime import datetime

    from azure.storage.blob import BlobServiceClient

_LIFE = timedelta(minutes=10)


class CabLinks:
    """Make links.

    Args:
        blobs: The blob service, asked as an identity.
        container: The container of the cabs.
    """

    def __init__(self, blobs: BlobServiceClient, container: str) -> None:
        self._blobs, self._container = blobs, container

    def to(self, blob_name: str) -> tuple[str, datetime] | None:
        """Return a link to a blob and when it ends; None where the identity may not sign one.

        The SAS: https://learn.microsoft.com/rest/api/storageservices/create-user-delegation-sas

        Args:
            blob_name: Whole, as a row of the table `cabs` tells it.

        Raises:
            CabferryError: Sorted by what helps.
        """
        blob = self._blobs.get_blob_client(self._container, blob_name)
        now = clock.true_now()
        expiry = now + _LIFE
        with storage_errors(f"a link to {blob_name}"):
            try:
                key = self._blobs.get_user_delegation_key(now, expiry)
            except HttpResponseError as error:
                if refusal_of(error).meaning is not Meaning.NO_PERMISSION:
                    raise
                return None
        sas = generate_blob_sas(
            str(blob.account_name),
            self._container,
            blob_name,
            user_delegation_key=key,
            permission=BlobSasPermissions(read=True),
            expiry=expiry,
            protocol="https",
            content_disposition=f'attachment; filename="{blob_name.rpartition("/")[2]}"',
        )
        return f"{blob.url}?{sas}", expiry
