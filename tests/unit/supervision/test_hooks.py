"""What nobody caught becomes a failure at the root."""

from __future__ import annotations

import asyncio
import gc
import subprocess
import sys
import threading
from typing import Any

import pytest

from tailrace.failures.hooks import CatchAlls, install_catch_alls
from tailrace.model import FailureSnapshot

EVERY_KIND = """
import asyncio, gc, sys, threading
from tailrace.failures.hooks import install_catch_alls

def before(name):
    return lambda *args: print("before", name)

sys.excepthook = before("main")
threading.excepthook = before("thread")
sys.unraisablehook = before("unraisable")

def report(snapshot, error):
    print("failure", snapshot.origin.source, snapshot.type, snapshot.path, snapshot.level,
          snapshot.disposition, snapshot.stage.hops(), type(error).__name__)

class Unclean:
    def __del__(self):
        raise OSError("in __del__")

def in_thread():
    raise KeyError("in a thread")

async def in_task():
    raise ValueError("nobody awaits this")

def in_callback():
    raise ZeroDivisionError

async def main():
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(before("loop"))
    hooks = install_catch_alls(report, loop=loop)
    thread = threading.Thread(target=in_thread)
    thread.start()
    thread.join()
    loop.call_soon(in_callback)
    task = loop.create_task(in_task())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    del task
    gc.collect()
    Unclean()

asyncio.run(main())
raise RuntimeError("in the main thread")
"""


def test_what_nobody_catches_is_a_failure_at_the_root_and_earlier_hooks_still_run() -> None:
    done = subprocess.run(
        [sys.executable, "-c", EVERY_KIND], capture_output=True, text=True, check=False, timeout=60
    )
    failures = [line for line in done.stdout.splitlines() if line.startswith("failure")]
    root = "('root',) root terminal 0"
    assert sorted(failures) == sorted(
        [
            f"failure thread KeyError {root} KeyError",
            f"failure loop ZeroDivisionError {root} ZeroDivisionError",
            f"failure loop ValueError {root} ValueError",
            f"failure unraisable OSError {root} OSError",
            f"failure excepthook RuntimeError {root} RuntimeError",
        ]
    )
    before = [line for line in done.stdout.splitlines() if line.startswith("before")]
    assert sorted(before) == sorted(
        ["before thread", "before loop", "before loop", "before unraisable", "before main"]
    )
    assert done.stderr == ""


@pytest.fixture
def seen() -> list[FailureSnapshot]:
    return []


@pytest.fixture
def hooks(monkeypatch: pytest.MonkeyPatch, seen: list[FailureSnapshot]) -> Any:
    """Hooks over silent ones: pytest's own would count what is raised on purpose."""
    for owner, name in ((sys, "excepthook"), (threading, "excepthook"), (sys, "unraisablehook")):
        monkeypatch.setattr(owner, name, lambda *_: None)
    with install_catch_alls(lambda snapshot, _: seen.append(snapshot), worker_id="w1") as installed:
        yield installed


def raise_in_thread(error: BaseException) -> None:
    def work() -> None:
        raise error

    thread = threading.Thread(target=work, name="pump")
    thread.start()
    thread.join()


def test_a_failure_of_a_thread_names_the_thread_and_the_worker(
    hooks: CatchAlls, seen: list[FailureSnapshot]
) -> None:
    raise_in_thread(ValueError("no"))
    (one,) = seen
    assert one.origin.thread.startswith("pump")
    assert (one.worker_id, one.message) == ("w1", "no")
    assert one.frames


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit, asyncio.CancelledError])
def test_an_exit_an_interrupt_or_a_cancel_is_no_failure(
    hooks: CatchAlls, seen: list[FailureSnapshot], kind: type[BaseException]
) -> None:
    sys.excepthook(kind, kind(), None)
    raise_in_thread(kind())
    assert seen == []
    assert hooks.suppressed == 0


def test_a_report_that_raises_is_counted_and_goes_no_further(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    passed_on: list[str] = []
    monkeypatch.setattr(sys, "excepthook", lambda kind, *_: passed_on.append(kind.__name__))

    def faulty(snapshot: FailureSnapshot, error: BaseException | None) -> None:
        raise RuntimeError("report is broken")

    with install_catch_alls(faulty) as hooks:
        sys.excepthook(ValueError, ValueError(), None)
        assert hooks.suppressed == 1
    assert passed_on == ["ValueError"]


def test_a_failure_during_a_report_does_not_recurse(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "excepthook", lambda *_: None)
    reports: list[str] = []

    def recursive(snapshot: FailureSnapshot, error: BaseException | None) -> None:
        reports.append(snapshot.type)
        sys.excepthook(KeyError, KeyError(), None)

    with install_catch_alls(recursive) as hooks:
        sys.excepthook(ValueError, ValueError(), None)
        assert (reports, hooks.suppressed) == (["ValueError"], 1)


def test_uninstalling_puts_back_what_stood_before() -> None:
    before = (sys.excepthook, threading.excepthook, sys.unraisablehook)
    loop = asyncio.new_event_loop()
    try:
        hooks = install_catch_alls(lambda *_: None, loop=loop)
        assert sys.excepthook != before[0]
        assert loop.get_exception_handler() is not None
        hooks.uninstall()
        assert (sys.excepthook, threading.excepthook, sys.unraisablehook) == before
        assert loop.get_exception_handler() is None
    finally:
        loop.close()


def test_a_hook_that_somebody_wrapped_only_passes_on_after_uninstalling(
    monkeypatch: pytest.MonkeyPatch, seen: list[FailureSnapshot]
) -> None:
    passed_on: list[str] = []
    monkeypatch.setattr(sys, "excepthook", lambda kind, *_: passed_on.append(kind.__name__))
    hooks = install_catch_alls(lambda snapshot, _: seen.append(snapshot))
    ours = sys.excepthook

    def wrapping(*args: Any) -> None:
        ours(*args)

    sys.excepthook = wrapping
    hooks.uninstall()
    assert sys.excepthook is wrapping
    sys.excepthook(ValueError, ValueError(), None)
    assert (passed_on, seen) == (["ValueError"], [])


def test_a_fault_of_the_loop_without_an_exception_is_a_failure_too(
    hooks: CatchAlls, seen: list[FailureSnapshot]
) -> None:
    loop = asyncio.new_event_loop()
    try:
        loop.set_exception_handler(lambda *_: None)
        hooks.watch(loop)
        loop.call_exception_handler({"message": "Task was destroyed but it is pending!"})
    finally:
        loop.close()
    assert [(one.origin.source, one.message) for one in seen] == [
        ("loop", "Task was destroyed but it is pending!")
    ]


def test_no_exception_is_kept_alive(hooks: CatchAlls, seen: list[FailureSnapshot]) -> None:
    class Local(ValueError):
        pass

    sys.excepthook(Local, Local("gone"), None)
    gc.collect()
    assert not [one for one in gc.get_objects() if type(one).__name__ == "Local"]
    assert len(seen) == 1
