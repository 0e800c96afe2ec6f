"""A collector that takes OTLP over HTTP, for tests."""

from __future__ import annotations

import gzip
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

from tailrace.model.span import Span
from tailrace.tracing.otlp import ReadReport
from tailrace.tracing.otlp.read_proto import parse_proto, spans_of_proto


class Collector:
    """Listens on a free port of this machine and keeps what it is sent.

    Args:
        status: of each answer.
        gate: answers wait until it is set.
    """

    def __init__(self, *, status: int = 200, gate: threading.Event | None = None) -> None:
        self.spans: list[Span] = []
        self.requests = 0
        self.headers: list[dict[str, str]] = []
        self._status = status
        self._gate = gate
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))

    @property
    def base(self) -> str:
        """URL without the path of a signal."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    @property
    def traces(self) -> str:
        """URL that takes spans."""
        return f"{self.base}/v1/traces"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._gate is not None:
            self._gate.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _take(self, body: bytes, headers: dict[str, str]) -> None:
        if headers.get("content-encoding") == "gzip":
            body = gzip.decompress(body)
        self.headers.append(headers)
        self.spans += spans_of_proto(parse_proto(body), ReadReport())

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        collector = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                collector.requests += 1
                if collector._gate is not None:
                    collector._gate.wait(60)
                if collector._status == 200:
                    headers = {key.lower(): value for key, value in self.headers.items()}
                    collector._take(body, headers)
                self.send_response(collector._status)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                """Say nothing."""

        return Handler
