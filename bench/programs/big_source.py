"""Serve cabs of any length that no storage account can reach: `/{account}/b{bytes}/{name}` has so many bytes."""

import sys
import threading
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

READY = "the source answers at "
_CHUNK = bytes(range(256)) * 4096


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_HEAD(self) -> None:
        self._head()

    def do_GET(self) -> None:
        left = self._head()
        while left:
            part = _CHUNK[: min(left, len(_CHUNK))]
            self.wfile.write(part)
            left -= len(part)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - as the base class names it
        """Say nothing: a line a request would be the cost of another process."""

    def _head(self) -> int:
        length = int(self.path.split("/")[2].removeprefix("b"))
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Length", str(length))
        self.send_header("x-ms-blob-type", "BlockBlob")
        self.end_headers()
        return length


def _main() -> None:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(f"{READY}http://127.0.0.1:{server.server_port}", flush=True)
    sys.stdin.read()
    server.shutdown()


if __name__ == "__main__":
    _main()
