"""The process that submits runs over HTTP: ``load.py ADDRESS RUNS CONNECTIONS``.

It prints how many seconds it took until all were submitted, and until all had ended.
"""

from __future__ import annotations

import asyncio
import sys
import time

from cluster import Client

_PATIENCE = 30.0
_LOOK, _SOON = 0.2, 0.02
"""Seconds between looks at how many have ended, while many have not and towards the end."""
_FEW = 300
_BODY = {"flow_name": "one", "params": {"n": 1}}


async def _submit(address: str, count: int) -> None:
    client = await Client.connect(address)
    for _ in range(count):
        status, body = await client.ask("POST", "/runs", _BODY)
        if status != 200:
            raise SystemExit(f"{status}: {body.decode()}")
    client.close()


async def ended(client: Client) -> int:
    """Return how many runs have ended."""
    _, body = await client.ask("GET", "/metrics")
    found = 0
    for line in body.decode().splitlines():
        if line.startswith("pyoco_runs_total{") and any(
            f'"{status}"' in line for status in ("COMPLETED", "FAILED", "CANCELLED")
        ):
            found += int(float(line.rpartition(" ")[2]))
    return found


async def _main(address: str, runs: int, connections: int) -> None:
    client = await Client.connect(address)
    before = await ended(client)
    started = time.perf_counter()
    share = runs // connections
    await asyncio.gather(*(_submit(address, share) for _ in range(connections)))
    submitted = time.perf_counter() - started
    await _all_ended(client, before + share * connections)
    print(submitted, time.perf_counter() - started)


async def _all_ended(client: Client, wanted: int) -> None:
    """Wait until so many runs have ended.

    Raises:
        SystemExit: none has for a while: the worker does not work.
    """
    most, since = -1, time.monotonic()
    while (now := await ended(client)) < wanted:
        if now > most:
            most, since = now, time.monotonic()
        elif time.monotonic() - since > _PATIENCE:
            raise SystemExit(f"{now} of {wanted} runs have ended, and no more do")
        await asyncio.sleep(_LOOK if wanted - now > _FEW else _SOON)


if __name__ == "__main__":
    asyncio.run(_main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
