"""The tree of errors, sorted by what helps.

CabferryError
├── AgainNow          a connection broke; the same request may work at once
├── AgainLater        the other side asks for time (429, 408, 5xx, time-outs); carries the wait it asked for
│   ├── BadAnswer         an answer is not what it should be (HTML, half a JSON); the next one may be
│   ├── CircuitOpen       the service has refused or missed everybody for a while; it is not asked until its next probe
│   ├── DayIsFull         what the settings file allows a day is used; a later day goes on
│   └── OutOfTime         a copy has reached its deadline; a later one goes on where it stopped
├── FreshUrl          the SAS of a cabUrl or a report works no more, what it leads to may be there: ask for a new one
├── NeedsPerson       401, 403, a missing role, a bad setting: no retry helps, the message says what to do
│   └── SettingsError     a setting is missing or malformed; names it
├── Never             no retry and no person brings it back
│   ├── CabExpired        past its cabExpirationTime
│   ├── CabUnavailable    Microsoft lists the cab, but does not let it be downloaded
│   └── BadInput          a message, HTTP body, report file or URL that is not what it should be
└── LeaseLost         another owner works on the same row: stop at once, nothing is wrong

Every message passes through `redaction.redact`, so that no error can carry a SAS query, a token or a key to wherever it
is shown. Code that turns a library's exception into one of these raises it `from None`: a chained exception is printed
whole by the worker, and the library's text may hold a URL with its signature.
"""

from datetime import timedelta

from shared.core.redaction import redact


class CabferryError(Exception):
    """Say what happened, to which report, failure or cab, and what to do about it.

    Args:
        message: What happened.
        outage: In a word, what of the whole service is out, where every other request to it would fail alike (401, 403,
            token, unreachable); empty where it is this request's own trouble. The circuit breaker counts them.
    """

    # Whether another request met it, which counts it: this one only waited for what came of that.
    is_echo = False

    def __init__(self, message: str, *, outage: str = "") -> None:
        super().__init__(redact(message))
        self.outage = outage


class AgainNow(CabferryError):
    """A connection broke before a whole answer came; the same request may work at once."""


class AgainLater(CabferryError):
    """The other side is busy or broken for now.

    Args:
        message: What happened.
        wait: How long the other side asked to be left alone; None where it did not say.
        outage: As every error here.
    """

    def __init__(self, message: str, wait: timedelta | None = None, *, outage: str = "") -> None:
        super().__init__(message, outage=outage)
        self.wait = wait


class BadAnswer(AgainLater):
    """An answer is not what it should be; quotes what was seen."""


class CircuitOpen(AgainLater):
    """The service is not asked at all before the wait is over."""


class DayIsFull(AgainLater):
    """As many bytes were copied today as the settings file allows; it is no try that failed."""


class OutOfTime(AgainLater):
    """The time that a copy was given is over, and what it has moved so far is kept; it is no try that failed."""


class FreshUrl(CabferryError):
    """A URL is no longer accepted, although the cab or the report that it leads to may still be held."""


class NeedsPerson(CabferryError):
    """Only a person can mend this: a role, a secret, a setting."""


class SettingsError(NeedsPerson):
    """A setting is missing or malformed."""


class Never(CabferryError):
    """Nothing brings this back."""


class CabExpired(Never):
    """The cab is past its cabExpirationTime and its source is gone."""


class CabUnavailable(Never):
    """The cab is listed, but cannot be downloaded."""


class BadInput(Never):
    """Something from outside is not what it should be."""


class LeaseLost(CabferryError):
    """Another owner holds the row now."""


def unforeseen(error: Exception) -> str:
    """Return what can be told of an error that is none of ours: its text may quote anything."""
    return f"an unexpected error ({type(error).__name__}); the app's log has it"
