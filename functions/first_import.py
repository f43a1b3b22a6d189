"""Import what the calls need by one thread: in a worker that has just started, many calls arrive together."""

import threading
from contextlib import suppress

_lock = threading.Lock()


def import_alone() -> None:
    """Import what nearly every call stands on, while the others wait.

    A precaution: threads that import the same packages side by side take the locks of modules in different orders. A
    worker whose first calls all stood still was seen once, and its cause was not found. What cannot be imported is told
    by the call that needs it.
    """
    with _lock, suppress(ImportError):
        import shared.services  # noqa: F401 - for its being imported
