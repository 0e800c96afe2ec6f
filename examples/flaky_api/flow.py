"""A call that fails twice and then works: retries with exponential delays.

The flow starts its own HTTP server on a free port of this machine. It answers 503 for the first
``failures`` requests and 200 after that::

    tailrace run examples/flaky_api/flow.py                  # two failures, three attempts
    tailrace run examples/flaky_api/flow.py -p failures=9    # more than the policy bears
"""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.request import urlopen

from tailrace import Context, Flow, Policy, Retry, task

PATIENT = Policy(
    timeout="5s",
    retry=Retry(max_attempts=3, delay="50ms", mode="exponential", max_delay="1s", on=["transient"]),
)


class FlakyServer(ThreadingHTTPServer):
    """Answers 503 a number of times, then prices as JSON."""

    daemon_threads = True

    def __init__(self, failures: int) -> None:
        super().__init__(("127.0.0.1", 0), FlakyHandler)
        self.failures_left = failures


class FlakyHandler(BaseHTTPRequestHandler):
    """One request."""

    server: FlakyServer

    def do_GET(self) -> None:
        """Answer as the server's count of failures says."""
        if self.server.failures_left:
            self.server.failures_left -= 1
            self.send_error(503, "try again later")
            return
        body = json.dumps({"apple": 120, "pear": 95}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name of the base class
        """Keep quiet; the trace shows every attempt."""


@task
def serve(failures: int) -> str:
    """Start the server; it ends with the process. Return its address."""
    server = FlakyServer(failures)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return f"http://127.0.0.1:{server.server_port}/prices"


@task(policy=PATIENT)
def fetch(serve: str, ctx: Context) -> dict[str, int]:
    """Get the prices; an HTTP error is raised, and 503 counts as transient."""
    ctx.log.info("attempt %d", ctx.attempt)
    with urlopen(serve, timeout=2) as answer:
        prices: dict[str, int] = json.load(answer)
    return prices


@task
def total(fetch: dict[str, int]) -> int:
    """Return the sum of all prices."""
    return sum(fetch.values())


flow = Flow("flaky_api", serve >> fetch >> total, defaults={"failures": 2})
