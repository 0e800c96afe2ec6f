"""Metrics for Prometheus: our counters, and what index and NATS say at the moment."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from datetime import datetime
from typing import Any

from prometheus_client import generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric

from tailrace.errors import TailraceError
from tailrace.gateway.service import Gateway
from tailrace.model.states import RunStatus

_STATUSES = [status.value for status in RunStatus if status is not RunStatus.INTERRUPTED]
_MOST_FLOWS = 200
"""Flows that are named; the runs of others are counted as ``other``."""
_ALIVE = frozenset({"RUNNING", "IDLE"})


async def exposition(gateway: Gateway, tenant: str | None = None) -> bytes:
    """Return all metrics as text; what NATS would have to say is left out while it is away.

    With a tenant, only its own runs and the workers are told of.
    """
    if tenant is not None:
        return await _exposition_of(gateway, tenant)
    gateway.counters.nats_up.set(int(gateway.link.is_up))
    families = [*await _counted(gateway, None), *_streams(gateway)]
    try:
        letters, queue, workers = await asyncio.gather(
            gateway.link.info(gateway.names.letters), _consumers(gateway), gateway.board.workers()
        )
    except TailraceError:
        pass
    else:
        families += _letters(int(letters["state"]["messages"]))
        families += _workers(workers)
        families += _queue(queue)
    return generate_latest(_Families(gateway.counters.registry.collect(), families))


async def _exposition_of(gateway: Gateway, tenant: str) -> bytes:
    families = await _counted(gateway, tenant)
    with suppress(TailraceError):
        families += _workers(await gateway.board.workers())
    return generate_latest(_Families(families))


async def _counted(gateway: Gateway, tenant: str | None) -> list[Metric]:
    counts = await gateway.index.counts(tenant)
    midnight = datetime.now().astimezone().replace(hour=0, minute=0, second=0, microsecond=0)
    today = await gateway.index.updated_since(midnight.timestamp(), tenant)
    return [*_runs(counts, today)]


class _Families:
    """Families as ``generate_latest`` takes them."""

    def __init__(self, *groups: Iterable[Metric]) -> None:
        self._groups = groups

    def collect(self) -> Iterator[Metric]:
        """Yield them all."""
        for group in self._groups:
            yield from group


def _gauge(
    name: str, text: str, labels: Iterable[str], values: Mapping[Any, float]
) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, text, labels=list(labels))
    for key, value in values.items():
        family.add_metric(list(key), value)
    return family


def _runs(counts: Mapping[tuple[str, str], int], today: Mapping[str, int]) -> Iterator[Metric]:
    by_status = Counter(dict.fromkeys(_STATUSES, 0))
    by_flow: Counter[str] = Counter()
    for (status, flow), count in counts.items():
        by_status[status] += count
        by_flow[flow] += count
    named = {flow for flow, _ in by_flow.most_common(_MOST_FLOWS)}
    cells: Counter[tuple[str, ...]] = Counter()
    for (status, flow), count in counts.items():
        cells[status, flow if flow in named else "other"] += count
    totals = {(status,): float(count) for status, count in by_status.items()}
    days = {(status,): float(today.get(status, 0)) for status in by_status}
    yield _gauge("pyoco_runs_total", "Runs by status.", ["status"], totals)
    yield _gauge("pyoco_runs_today_total", "Runs changed today by status.", ["status"], days)
    yield _gauge("tailrace_runs", "Runs that are kept.", ["status", "flow"], cells)


def _workers(workers: list[dict[str, Any]]) -> Iterator[Metric]:
    states = Counter((str(one["state"]),) for one in workers)
    alive = sum(count for (state,), count in states.items() if state in _ALIVE)
    yield _gauge("pyoco_workers_alive_total", "Workers that are alive.", [], {(): alive})
    yield _gauge("tailrace_workers", "Workers by state.", ["state"], states)


def _letters(count: int) -> Iterator[Metric]:
    yield _gauge("pyoco_dlq_messages_total", "Dead letters.", [], {(): count})
    yield _gauge("tailrace_dead_letters", "Dead letters that are kept.", [], {(): count})


async def _consumers(gateway: Gateway) -> list[dict[str, Any]]:
    """Return what the server says of each tag and priority."""
    found: list[dict[str, Any]] = []
    while True:
        call = f"CONSUMER.LIST.{gateway.names.runs}"
        page = await gateway.link.api(call, {"offset": len(found)})
        found += page["consumers"] or ()
        if len(found) >= page["total"] or not page["consumers"]:
            return found


def _queue(consumers: list[dict[str, Any]]) -> Iterator[Metric]:
    waiting: dict[tuple[str, ...], float] = {}
    open_: dict[tuple[str, ...], float] = {}
    again: dict[tuple[str, ...], float] = {}
    for one in consumers:
        kind, _, rest = one["name"].partition("-")
        tag, _, priority = rest.rpartition("-")
        if kind == "q" and tag:
            waiting[tag, priority] = one["num_pending"]
            open_[tag, priority] = one["num_ack_pending"]
            again[tag, priority] = one["num_redelivered"]
    labels = ("tag", "priority")
    yield _gauge("tailrace_queue_depth", "Runs that wait for a worker.", labels, waiting)
    yield _gauge("tailrace_deliveries_open", "Runs in the hands of workers.", labels, open_)
    yield _gauge(
        "tailrace_deliveries_again", "Open runs that were handed over before.", labels, again
    )


def _streams(gateway: Gateway) -> Iterator[Metric]:
    position = gateway.index.position()
    yield _gauge("tailrace_index_sequence", "How far the index is.", [], {(): position.sequence})
    yield _gauge("tailrace_gateway_time_seconds", "The gateway's clock.", [], {(): time.time()})
