"""Keep secrets out of everything that people can read."""

import logging
import re
import threading
from typing import Any
from urllib.parse import quote

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
# What every secret above has in it, in lower case: most text has none of these, and is passed over at once. They are
# searched for one by one: a pattern of them all takes ten times as long, and every cab's labels come by here. Only
# in ASCII: without regard to case, the patterns also take some other letters (\u0131, \u017f) for ours.
_SUSPECT = (
    "=",
    "eyj",
    "bearer",
    "sharedkey",
    "deviceid",
    "hardwareid",
    "accountkey",
    "sharedaccess",
    "_token",
    "client_",
)
# A shorter value would take harmless words with it, and as many are kept as a process sees in days.
_SHORTEST_KNOWN, _MOST_KNOWN = 8, 64
# Of characters that every pattern takes for a part of a secret, in case it stands within another one.
_IN_ITS_PLACE = "-redacted-"
# Much more than any excerpt shows, and little enough to be searched at once.
_LOOKED_AT = 8_192


class _KnownSecrets:
    """Secrets of this process by their value, the longest first: one may be a part of another."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._newest: list[str] = []
        self.values: tuple[str, ...] = ()

    def add(self, secret: str) -> None:
        with self._lock:
            if secret not in self._newest:
                self._newest = [*self._newest, secret][-_MOST_KNOWN:]
                spellings = {spelling for each in self._newest for spelling in (each, quote(each, safe=""))}
                self.values = tuple(sorted(spellings, key=len, reverse=True))


_known = _KnownSecrets()


def never_show(*secrets: str) -> None:
    """Replace these values too from now on, whatever surrounds them: an answer may quote a token or a key bare.

    Args:
        secrets: Keys, tokens and connection strings that this process holds. Very short ones are passed over.
    """
    for secret in secrets:
        if len(secret) >= _SHORTEST_KNOWN:
            _known.add(secret)


def redact(text: str) -> str:
    """Return the text with every URL query, signature, token, key and device identifier replaced.

    Args:
        text: Anything on its way to a log, a table, an error or an HTTP answer.
    """
    for secret in _known.values:
        if secret in text:
            text = text.replace(secret, _IN_ITS_PLACE)
    lower = text.lower()
    if text.isascii() and not any(sign in lower for sign in _SUSPECT):
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
    # A control character does things to a terminal, and half of a surrogate pair cannot be written.
    shown = "".join(each if each.isprintable() else "\N{REPLACEMENT CHARACTER}" for each in seen[:limit])
    return shown if len(seen) <= limit else shown + "…"


def guard_logs() -> None:
    """Redact every log record of this process as it is made, whoever logs it, for every handler there is or will be.

    What ends a thread is logged too, in place of being printed as it is.
    """
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

    def log_end(ended: threading.ExceptHookArgs) -> None:
        name = ended.thread.name if ended.thread else "that is gone"
        _log.critical("the thread %s ended: %r", name, ended.exc_value, exc_info=ended.exc_value)

    logging.setLogRecordFactory(made)
    threading.excepthook = log_end


_formatter = logging.Formatter()
_log = logging.getLogger(__name__)
