"""What may go wrong, and the exit code that tells a script which it was."""

from enum import IntEnum


class Exit(IntEnum):
    """The exit codes; README.md tells them to people."""

    DONE = 0
    UNEXPECTED = 1
    WRONG_USE = 2
    NOTHING_FOUND = 3
    NOT_ALLOWED = 4
    UNREACHABLE = 5
    NOT_ALL = 6
    NOT_WELL = 7
    INTERRUPTED = 130


class ProblemError(Exception):
    """What ends a command: says what happened, and what to do.

    Args:
        exit_code: What a script sees.
        text: What a person reads.
    """

    def __init__(self, exit_code: Exit, text: str) -> None:
        super().__init__(text)
        self.exit_code = exit_code
