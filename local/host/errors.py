"""What can keep the host, the app or one function from running."""


class StartError(Exception):
    """The host cannot run this app here; the message says what to change."""


class IndexingError(Exception):
    """The app could not be indexed.

    Args:
        message: The worker's own error, on one line.
        trace: The worker's traceback; empty where there is none.
    """

    def __init__(self, message: str, trace: str = "") -> None:
        super().__init__(message)
        self.trace = trace


class BindingError(Exception):
    """One function cannot listen; the others can. The message names the setting or the part of the binding."""
