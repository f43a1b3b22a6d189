"""The line between a process and what it calls: where a game lets others run, and lets calls fail."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

# What answers: its mishaps differ. A write may have been done though its answer is lost.
type Called = Literal["read", "write", "send", "copy", "blob", "devcenter", "source", "report"]


class Line(Protocol):
    """Make the calls of one process."""

    def call[T](self, kind: Called, what: str, do: Callable[[], T]) -> T:
        """Let something be done by what is called, and return its answer.

        Args:
            kind: What answers.
            what: The call, for the story.
            do: Does it; may be done twice, where an answer was lost and the client has tried again.
        """


class GoodLine:
    """A line on which nothing happens."""

    def call[T](self, kind: Called, what: str, do: Callable[[], T]) -> T:
        """Do it."""
        return do()
