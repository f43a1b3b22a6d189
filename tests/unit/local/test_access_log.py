"""Azurite's access log, line by line: requests are what the budget of a pull is counted in."""

import pytest

from local.azurite.access_log import StorageRequest, creations

LINE = '127.0.0.1 - - [21/Nov/2026:19:44:20 +0000] "{} {} HTTP/1.1" {} -'


def parse(method: str, target: str, status: str = "200") -> StorageRequest:
    request = StorageRequest.from_line(LINE.format(method, target, status))
    assert request is not None
    return request


def test_a_line_tells_what_was_asked_and_answered() -> None:
    assert parse("PUT", "/cabferry/failure-cabs/1/2/3.ext.zip?comp=copy&sv=1&sig=secret", "202") == StorageRequest(
        "PUT", "cabferry", "/failure-cabs/1/2/3.ext.zip", "copy", "", 202
    )


@pytest.mark.parametrize(
    ("target", "polls"),
    [
        ("/a/cab-pulls/messages?numofmessages=8", True),
        ("/a/cab-pulls/messages/1-2-3?popreceipt=x", True),
        ("/a/cab-pulls", False),
        ("/a/failure-cabs/1/messages", False),
    ],
)
def test_queue_messages_are_told_apart(target: str, polls: bool) -> None:
    """Polling goes on all the time, and must not count as what a pull costs."""
    assert parse("GET", target).is_queue_message is polls


def test_only_what_makes_a_blob_counts_as_its_making() -> None:
    """A block, a refused copy and metadata make none; a list of blocks does."""
    requests = [
        StorageRequest("PUT", "a", f"/c/{blob}", comp, "", status)
        for blob, comp, status in (
            ("copied", "", 202),
            ("uploaded", "", 201),
            ("uploaded", "", 409),
            ("large", "block", 201),
            ("large", "blocklist", 201),
            ("large", "tags", 204),
            ("cut off", "", None),
        )
    ]
    assert creations(requests, "c") == {"copied": 1, "uploaded": 1, "large": 1}
    assert not creations(requests, "d")
