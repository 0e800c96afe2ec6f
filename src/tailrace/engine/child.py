"""The life of a child process: take a call, run it, send what it says and how it ends."""

from __future__ import annotations

import asyncio
import contextlib
import io
import logging
import os
import pickle
import signal
import sys
import threading
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from tailrace.engine.artifacts import save_artifact
from tailrace.engine.child_recorder import (
    INNER,
    LOCAL,
    current_recorder,
    inner_span,
    recorded,
)
from tailrace.engine.collected import collected
from tailrace.failures import capture
from tailrace.model import CallKind
from tailrace.model.span import SpanLink
from tailrace.tracing.attributes import attribute

Send = Callable[..., None]


def serve(connection: Connection[Any, Any], parent: int) -> None:
    """Answer calls until the parent hangs up."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    lock = threading.Lock()

    def send(*message: Any) -> None:
        with lock:
            connection.send(message)

    def send_bytes(answer: bytes) -> None:
        with lock:
            connection.send_bytes(answer)

    _redirect(send)
    _end_with(parent)
    with contextlib.suppress(EOFError, OSError):
        while True:
            _answer(connection.recv_bytes(), send, send_bytes)


def _end_with(parent: int) -> None:
    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        os._exit(1)

    threading.Thread(target=watch, name="tailrace-parent-watch", daemon=True).start()


def _answer(body: bytes, send: Send, send_bytes: Callable[[bytes], None]) -> None:
    try:
        function, kind, arguments, context, judgement, place = pickle.loads(body)  # noqa: S301 - our parent
        if judgement is not None:
            judgement.install()
        args, kwargs = arguments
        if context is not None:
            handed = ChildContext(send, context)
            kwargs |= dict.fromkeys(context["parameters"], handed)
        send("started")
        with recorded(send, place):
            value = _run(function, kind, args, kwargs)
        sys.stdout.flush()
        sys.stderr.flush()
    except BaseException as error:  # noqa: BLE001 - a task may raise anything
        send("failed", capture(error))
        return
    changes = {} if context is None else handed.changes()
    try:
        answer = pickle.dumps(("returned", (value, changes)))
    except Exception as error:  # noqa: BLE001 - pickling user values may raise anything
        send("failed", capture(error, category="permanent", class_="serialization"))
        return
    send_bytes(answer)


def _run(function: Any, kind: CallKind, args: Any, kwargs: Any) -> Any:
    value = collected(function, kind)(*args, **kwargs)
    return asyncio.run(_awaited(value)) if hasattr(type(value), "__await__") else value


async def _awaited(value: Any) -> Any:
    return await value


class _Stream(io.TextIOBase):
    def __init__(self, name: str, send: Send) -> None:
        self._name = name
        self._send = send

    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        if text:
            self._send("output", self._name, text, inner_span(), threading.get_ident())
        return len(text)


class _Handler(logging.Handler):
    def __init__(self, send: Send) -> None:
        super().__init__()
        self._send = send

    def emit(self, record: logging.LogRecord) -> None:
        self._send(
            "event",
            "log",
            {"message": record.getMessage(), "level": record.levelname, "logger": record.name},
            inner_span(),
        )


def _redirect(send: Send) -> None:
    sys.stdout = _Stream("stdout", send)
    sys.stderr = _Stream("stderr", send)
    logging.getLogger().addHandler(_Handler(send))
    logging.getLogger("tailrace.task").setLevel(logging.DEBUG)


class ChildContext(SimpleNamespace):
    """The context inside a child: the same names, with values as they were when it was called."""

    def __init__(self, send: Send, values: dict[str, Any]) -> None:
        super().__init__(**values["values"])
        self._send = send
        self._folder = Path(values["folder"])
        self._before = dict(self.scratch)
        self.log = logging.getLogger("tailrace.task")
        self.is_cancelled = False
        self.span = _ChildSpan(send)

    @property
    def traceparent(self) -> str:
        """The span that is current here."""
        recorder = current_recorder()
        return "" if recorder is None else recorder.traceparent(inner_span())

    def check_cancelled(self) -> None:
        """Do nothing: a child is stopped by a signal."""

    def progress(self, done: float, total: float | None = None) -> None:
        """Report progress."""
        self._send("progress", done, total)

    def event(self, name: str, **attributes: Any) -> None:
        """Add an event to the attempt's span."""
        self._send("event", name, attributes)

    def save_artifact(self, name: str, data: Any) -> str:
        """Store data under the run's artifact folder."""
        entry = save_artifact(self._folder, name, data)
        self.artifacts[name] = entry
        self._send("event", "artifact", {"name": name, **entry})
        return str(entry["path"])

    def changes(self) -> dict[str, Any]:
        """Return what the task wrote: scratch keys and artifacts."""
        before = self._before
        scratch = {
            key: value
            for key, value in self.scratch.items()
            if key not in before or before[key] is not value
        }
        return {"scratch": scratch, "artifacts": self.artifacts}


class _ChildSpan:
    """The attempt's span (number 0), or one of the user's own under it, as the child knows it."""

    made: Any = None
    links: list[SpanLink] | None = None

    def __init__(self, send: Send, number: int = 0) -> None:
        self._send = send
        self.number = number

    def set_attribute(self, key: str, value: Any) -> None:
        """Set an attribute of this span."""
        self._send("attribute", self.number, key, attribute(value))

    @contextlib.contextmanager
    def __call__(self, name: str, **attributes: Any) -> Any:
        """Open a span under this one."""
        recorder = current_recorder()
        number = next(LOCAL) if recorder is None else recorder.reserve()[0]
        parent = self.number or inner_span()
        if recorder is None:
            self._send("span", number, parent, name, attributes)
        else:
            recorder.open_span(number, parent, name, attributes, None)
        span = _ChildSpan(self._send, number)
        inner = INNER.set(span)
        failure = None
        try:
            yield span
        except BaseException as error:
            failure = capture(error)
            raise
        finally:
            INNER.reset(inner)
            self._send("span_end", number, failure)
