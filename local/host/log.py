"""One line for each log record, on standard error, without credentials."""

import logging
import re
from datetime import UTC, datetime

# The kinds of credential that Azure's host hides in its logs, and bearer tokens: a traceback of the app may quote one.
# What the app has hidden itself stays, so that a test can tell which of the two it was.
_CREDENTIAL = re.compile(
    r"((?:AccountKey|SharedAccessKey|SharedAccessSignature|Password|Pwd|Token|client_secret|client_assertion)="
    r"|[?&;](?:sig|code)=|\bBearer\s+)(?!\[redacted\])[^\s\"'<>&;]+",
    re.IGNORECASE,
)


def hide_credentials(text: str) -> str:
    """Replace every credential.

    Args:
        text: On its way to a log or an answer.
    """
    return _CREDENTIAL.sub(r"\1[Hidden Credential]", text)


def set_up_logging(level: str) -> None:
    """Send all logs of host and app to standard error.

    Args:
        level: The least that is shown, for example INFO.
    """
    formatter = _Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s")
    handler = logging.StreamHandler()
    handler.setFormatter(formatter)
    logging.basicConfig(level=level, handlers=[handler])
    # Two lines and a list of headers for every request of every SDK would hide all else.
    for name in ("azure.core.pipeline.policies.http_logging_policy", "azure.identity", "azure.functions"):
        logging.getLogger(name).setLevel(logging.WARNING)


class _Formatter(logging.Formatter):
    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:  # noqa: N802 - logging's name
        del datefmt
        return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")

    def format(self, record: logging.LogRecord) -> str:
        return hide_credentials(super().format(record))
