"""Let nothing reach a log that does not belong there: no secret, and no line break from outside."""

import logging
import textwrap
import threading
from typing import Any

from shared.core.redaction import one_line, printable, redact

_formatter = logging.Formatter()
_log = logging.getLogger(__name__)


def guard_logs() -> None:
    """Make every log record of this process one redacted line, whoever logs it, for every handler there will be.

    A traceback keeps its lines, each set in, so that none can be taken for a line of its own. What ends a thread is
    logged too, in place of being printed as it is.
    """
    make = logging.getLogRecordFactory()

    def made(*args: Any, **options: Any) -> logging.LogRecord:
        record = make(*args, **options)
        try:
            message = record.getMessage()
        except (TypeError, ValueError, KeyError):  # arguments that do not fit: logging would print them, and go on
            message = f"{record.msg} {record.args}"
        record.msg, record.args = one_line(redact(message)), ()
        if record.exc_info:
            # A formatter takes this text where it is there, and does not format the traceback anew.
            record.exc_text = _set_in(_formatter.formatException(record.exc_info))
        if record.stack_info:
            record.stack_info = _set_in(record.stack_info)
        return record

    def log_end(ended: threading.ExceptHookArgs) -> None:
        name = ended.thread.name if ended.thread else "that is gone"
        _log.critical("the thread %s ended: %r", name, ended.exc_value, exc_info=ended.exc_value)

    logging.setLogRecordFactory(made)
    threading.excepthook = log_end


def _set_in(text: str) -> str:
    lines = (each.rstrip() for each in redact(text).splitlines())
    return textwrap.indent("\n".join(printable(each) for each in lines), "  ")
