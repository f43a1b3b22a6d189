"""A queue service that is too busy, or that has no such queue: what a host sees of a storage that was away."""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self

from tests.integration.host.running import wait_until


class BusyStorage:
    """Answers 503 to everything while `is_busy`, and 404 (no such queue) afterwards."""

    def __init__(self) -> None:
        self.is_busy = True
        self._requests = 0
        storage = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                storage._requests += 1
                self.send_response(503 if storage.is_busy else 404)
                self.send_header("x-ms-error-code", "ServerBusy" if storage.is_busy else "QueueNotFound")
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_arguments: object) -> None:
                """Print nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    @property
    def connection_string(self) -> str:
        """What leads a client here."""
        endpoint = f"http://127.0.0.1:{self._server.server_port}/busy"
        return f"DefaultEndpointsProtocol=http;AccountName=busy;AccountKey=c2VjcmV0;QueueEndpoint={endpoint};"

    def wait_for_more_requests(self) -> None:
        """Wait until someone has asked five times more."""
        enough = self._requests + 5
        wait_until(lambda: self._requests >= enough, "more requests")
