"""Open the file of a report run: with the SAS in its location, or with a storage token where there is none."""

from __future__ import annotations

from contextlib import contextmanager
from http import HTTPStatus
from typing import IO, TYPE_CHECKING, cast

from shared.core.errors import BadInput
from shared.core.refusals import Where
from shared.core.values import Immutable
from shared.web.http_source import body_of, refusal_in, without_signature
from shared.web.paced_body import PacedBody
from shared.web.source_hosts import carries_sas

if TYPE_CHECKING:
    from collections.abc import Iterator

    from shared.devcenter.reports import ReportRun
    from shared.identity.access_tokens import AccessTokens
    from shared.web.untrusted_source import UntrustedSource

# Bearer tokens need 2017-11-09 or later: https://learn.microsoft.com/rest/api/storageservices/authorize-with-azure-active-directory
_STORAGE_VERSION = "2020-10-02"


class OpenedFile(Immutable, frozen=True):
    """A file that can be read, once.

    Args:
        stream: Its bytes.
        is_length_told: Whether the stream breaks off with an error where it is cut.
    """

    stream: IO[bytes]
    is_length_told: bool


class ReportFiles:
    """Open report files.

    Args:
        source: Checks locations, which are untrusted input, and asks them.
        tokens: For locations without a SAS; None where no identity is set, and they are asked for without a token.
    """

    def __init__(self, source: UntrustedSource, tokens: AccessTokens | None) -> None:
        self._source, self._tokens = source, tokens

    @contextmanager
    def opened(self, run: ReportRun) -> Iterator[OpenedFile]:
        """Open a run's file.

        Args:
            run: A finished run, fresh from the API: a SAS in its location lives 12 hours.

        Raises:
            CabferryError: Sorted by what helps.
        """
        what = f"the file of {run}"
        parts = self._source.checked(run.location, f"the location of {run}")
        has_sas = carries_sas(parts)
        with self._source.get(run.location, {} if has_sas else self._authorization(), what) as response:
            if response.status_code == HTTPStatus.OK:
                try:
                    # As chunks, or by its length: else its end looks like that of a connection that broke.
                    is_length_told = {"content-length", "transfer-encoding"} & {
                        name.lower() for name in response.headers
                    }
                    yield OpenedFile(cast("IO[bytes]", PacedBody(response, what)), bool(is_length_told))
                except BadInput as error:  # which quotes what came in place of a report
                    raise BadInput(without_signature(str(error), response.request.url)) from None
                return
            body = body_of(response, what)
            raise refusal_in(response, body, Where.REPORT if has_sas else Where.REPORT_BY_TOKEN).as_error(what)

    def _authorization(self) -> dict[str, str]:
        token = {"Authorization": f"Bearer {self._tokens.current()}"} if self._tokens else {}
        return {**token, "x-ms-version": _STORAGE_VERSION}
