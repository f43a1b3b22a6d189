"""Keep secrets out of everything that people can read."""

import logging
import re
from typing import Any

# One pattern a kind of secret, each of them linear in the text. A query goes as a whole: a SAS has many parameters and
# only some are secret, but none is worth a risk, and an unknown API may sign in its own way.
_SECRETS: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"\?[^\s\"'<>?=]*=[^\s\"'<>]*"), "?[redacted]"),
    (re.compile(r"(?:\b|(?<=u0026))(sig|se|skoid|sktid)=[^\s\"'<>&]+", re.IGNORECASE), r"\1=[redacted]"),
    (re.compile(r"\b(Bearer|SharedKey(?:Lite)?)\s+[A-Za-z0-9._~+/=:-]+", re.IGNORECASE), r"\1 [redacted]"),
    (re.compile(r"\beyJ[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]*)*"), "[redacted token]"),
    # As JSON, as JSON within JSON, as Python shows it, and as name=value.
    (
        re.compile(
            r"(\b(?:DeviceId|HardwareId|AccountKey|SharedAccessSignature|access_token|refresh_token|client_secret|"
            r"client_assertion)\\*[\"']?\s*[:=]\s*)(?:\\*[\"'][^\"']*|[^\s\"',;}]+)",
            re.IGNORECASE,
        ),
        r"\1[redacted]",
    ),
)
# What every secret above has in it: text without any of these is most text, and is passed over at once.
_SUSPECT = re.compile(
    r"=|eyJ|Bearer|SharedKey|DeviceId|HardwareId|AccountKey|SharedAccess|_token|client_", re.IGNORECASE
)
# Much more than any excerpt shows, and little enough to be searched at once.
_LOOKED_AT = 8_192


def redact(text: str) -> str:
    """Return the text with every URL query, signature, token, key and device identifier replaced.

    Args:
        text: Anything on its way to a log, a table, an error or an HTTP answer.
    """
    if not _SUSPECT.search(text):
        return text
    for pattern, replacement in _SECRETS:
        text = pattern.sub(replacement, text)
    return text


def excerpt(text: str, limit: int = 200) -> str:
    """Return the start of what was seen, redacted and on one line, for use in an error message.

    Args:
        text: What the other side sent.
        limit: The most characters to show.
    """
    # Redacted before it is cut: a cut in the middle of a secret could leave a part that no pattern knows.
    seen = " ".join(redact(text[:_LOOKED_AT]).split())
    return seen if len(seen) <= limit else seen[:limit] + "…"


def guard_logs() -> None:
    """Redact every log record of this process as it is made, whoever logs it, for every handler there is or will be."""
    make = logging.getLogRecordFactory()

    def made(*args: Any, **options: Any) -> logging.LogRecord:
        record = make(*args, **options)
        try:
            message = record.getMessage()
        except (TypeError, ValueError, KeyError):  # arguments that do not fit: logging would print them, and go on
            message = f"{record.msg} {record.args}"
        record.msg, record.args = redact(message), ()
        if record.exc_info:
            # A formatter takes this text where it is there, and does not format the traceback anew.
            record.exc_text = redact(_formatter.formatException(record.exc_info))
        return record

    logging.setLogRecordFactory(made)


_formatter = logging.Formatter()
