"""Queues in memory: messages that are invisible for a while, and count how often they were taken."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, cast

from shared.core import clock
from shared.progress.queue import PullQueue, QueueSeen

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from azure.storage.queue import QueueMessage

    from .lines import Line

_LONGEST = timedelta(days=7)


@dataclass(eq=False, slots=True)
class Message:
    """A message.

    Args:
        number: The how-manieth of the queue.
        text: What it says.
        sent_at: When it was sent.
        visible_at: When it can be taken (again).
        taken: How often it was.
    """

    number: int
    text: str
    sent_at: datetime
    visible_at: datetime
    taken: int = 0

    @property
    def content(self) -> str:
        """What it says, as the SDK names that."""
        return self.text


@dataclass(slots=True)
class Queue:
    """The messages of one queue, whoever asks.

    Args:
        name: Its name.
        messages: In the order in which they were sent.
    """

    name: str
    messages: list[Message] = field(default_factory=list)
    _sent: int = 0

    def send(self, text: str, delay: timedelta) -> Message:
        """Add a message, which can be taken after the delay."""
        assert timedelta() <= delay <= _LONGEST, f"a message cannot be delayed by {delay}"
        now = clock.now()
        self._sent += 1
        message = Message(self._sent, text, now, now + delay)
        self.messages.append(message)
        return message

    def receive(self, invisible: timedelta) -> Message | None:
        """Take the first message that is visible, for a while."""
        now = clock.now()
        for message in self.messages:
            if message.visible_at <= now:
                message.taken += 1
                message.visible_at = now + invisible
                return message
        return None

    def next_visible(self) -> datetime | None:
        """Return when the next message can be taken."""
        return min((message.visible_at for message in self.messages), default=None)

    def delete(self, message: Message) -> None:
        """Remove a message."""
        if message in self.messages:
            self.messages.remove(message)


class MemoryQueue(PullQueue):
    """One process's way to a queue.

    Args:
        queue: The queue.
        line: Makes the calls.
    """

    def __init__(self, queue: Queue, line: Line) -> None:
        self._queue, self._line = queue, line

    def send_text(self, text: str, delay: timedelta) -> None:
        """Send a text."""
        seconds = timedelta(seconds=round(min(delay, timedelta(days=6)).total_seconds()))
        what = f"sends to {self._queue.name} after {seconds}: {text}"
        self._line.call("send", what, lambda: self._queue.send(text, seconds))

    def take(self) -> Iterator[QueueMessage]:
        """Take each message that anyone could take now."""
        while message := self._line.call(
            "read", f"takes from {self._queue.name}", lambda: self._queue.receive(timedelta(minutes=10))
        ):
            yield cast("QueueMessage", message)

    def drop(self, message: QueueMessage) -> None:
        """Remove a message that `take` returned."""
        taken = cast("Message", message)
        self._line.call("send", f"removes message {taken.number}", lambda: self._queue.delete(taken))

    def look(self) -> QueueSeen:
        """Return how the queue stands."""
        now = clock.now()

        def seen() -> QueueSeen:
            sent = [each.sent_at for each in self._queue.messages if each.visible_at <= clock.now()][:32]
            return QueueSeen(now, len(self._queue.messages), min([now, *sent]))

        return self._line.call("read", f"looks at {self._queue.name}", seen)
