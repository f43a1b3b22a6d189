"""An app whose settings are bad keeps every message until somebody has mended that, and says what it knows."""

import threading
import time
from urllib.parse import urlsplit

from tests.support.loopback import Answer, LoopbackServer, Seen
from tests.system.answers import problem
from tests.system.playground import Playground


def test_where_storage_hangs_what_is_known_is_told_within_seconds(playground: Playground) -> None:
    """The page that says what is wrong must not hang with it."""
    is_over = threading.Event()
    parts = dict(part.split("=", 1) for part in playground.storage.connection_string.split(";") if part)

    def answer(_: Seen) -> Answer:
        is_over.wait(60)
        return Answer(status=503)

    with LoopbackServer(answer) as server:
        parts["TableEndpoint"] = server.url + urlsplit(parts["TableEndpoint"]).path
        app = playground.start(
            {"CAB_STORAGE": ";".join(f"{name}={value}" for name, value in parts.items())}, may_raise=True
        )
        try:
            began = time.monotonic()
            told = app.get("/api/summary").json()
            assert time.monotonic() - began < 7
            assert (told["state"], told["failures"], told["cabs"]["held"]) == ("down", None, None)
            assert len(told["unknown"]) == 2
            began = time.monotonic()
            assert "not answered" in problem(app.get("/api/failures"), 503)
            assert time.monotonic() - began < 7
        finally:
            is_over.set()
            app.close()
