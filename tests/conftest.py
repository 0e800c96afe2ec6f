"""What every test may rely on."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from effort import EFFORT, times
from jetstream_server import nats_prefix, nats_server, own_nats_server
from processes import OURS, TERMINAL

__all__ = ["nats_prefix", "nats_server", "own_nats_server"]

# No time of a loaded machine is a fault.
settings.register_profile(
    "effort",
    max_examples=times(35),
    deadline=None,
    suppress_health_check=list(HealthCheck),
    derandomize=EFFORT == 1,
)
settings.load_profile("effort")
# Else each of the hundreds of processes that tests start compiles the package anew.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
# Nor may what a shell or a CI service says of terminals and of us change what a test sees.
for name in [name for name in os.environ if name.startswith((*OURS, *TERMINAL))]:
    del os.environ[name]


@pytest.fixture(scope="session", autouse=True)
def _signals_that_arrive() -> None:
    """Let SIGINT and SIGTERM reach the processes that tests start.

    A shell starts what runs in the background with SIGINT ignored, and children inherit that.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if signal.getsignal(signal.SIGTERM) is signal.SIG_IGN:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


MakeDisk = Callable[[int], Path]


@pytest.fixture
def make_disk(tmp_path: Path) -> Iterator[MakeDisk]:
    """Mount a file system of so many megabytes that can be filled up, and unmount it afterwards."""
    disk = tmp_path / "disk"

    def make(megabytes: int) -> Path:
        disk.mkdir()
        mount = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(disk)]
        if os.geteuid() != 0 or subprocess.run(mount, check=False, capture_output=True).returncode:
            pytest.skip("only root may mount a small disk, and not everywhere")
        return disk

    yield make
    if disk.is_mount():
        subprocess.run(["umount", "-l", str(disk)], check=True)
