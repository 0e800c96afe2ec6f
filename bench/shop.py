"""Spans of a made-up shop with a language model: ten attributes each, as OpenTelemetry has them."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any, Protocol

from tailrace.model.span import InstrumentationScope
from tailrace.store.foreign_span import StoredSpan

SERVICES = ("gateway", "shop", "cart", "payment", "agent", "search")
ROUTES = tuple(f"/api/{name}/{verb}" for name in SERVICES for verb in ("list", "show", "add"))
MODELS = ("small-4", "medium-4", "large-4", "embedder")
_NAMES = tuple(f"{verb} {route}" for route in ROUTES for verb in ("GET", "POST"))
_MOST_SPANS = 24
_MS = 1_000_000

Batch = dict[str, list[StoredSpan]]


class Numbers(Protocol):
    """Gives the numbers of resources and scopes, as a writer of spans does."""

    def resource(self, attributes: dict[str, Any]) -> int:
        """Return the number of a resource."""
        ...

    def scope(self, scope: InstrumentationScope) -> int:
        """Return the number of a scope."""
        ...


class Shop:
    """Makes traces, one after the other in time.

    Args:
        writer: gives the numbers of resources and scopes.
        start_ns: when the first trace begins.
        gap_ns: from the start of one trace to the next, on average.
    """

    def __init__(self, writer: Numbers, *, start_ns: int, gap_ns: int) -> None:
        self._chance = random.Random(7)  # noqa: S311 - the same spans each time
        self._now = start_ns
        self._gap = gap_ns
        self._scope = writer.scope(InstrumentationScope(name="shop.http", version="1.4.0"))
        self._resources = [
            writer.resource(
                {
                    "service.name": name,
                    "service.version": "2.3.1",
                    "host.name": f"node-{number}",
                    "deployment.environment": "production",
                }
            )
            for number, name in enumerate(SERVICES)
        ]

    def batches(self, spans: int, each: int = 10_000) -> Iterator[Batch]:
        """Yield batches of about ``each`` spans."""
        made = 0
        while made < spans:
            batch: Batch = {}
            count = 0
            while count < min(each, spans - made):
                trace = self._trace()
                batch[self._chance.randbytes(16).hex()] = trace
                count += len(trace)
            made += count
            yield batch

    def _trace(self) -> list[StoredSpan]:
        chance = self._chance
        self._now += chance.randrange(2 * self._gap)
        count = min(1 + int(chance.expovariate(1 / 12)), _MOST_SPANS)
        ids = [chance.randbytes(8) for _ in range(count)]
        tenant = f"tenant-{int(chance.paretovariate(0.6)) % 2_000}"
        start, spans = self._now, []
        for number, span_id in enumerate(ids):
            parent = ids[chance.randrange(max(0, number - 4), number)] if number else b""
            start += chance.randrange(_MS) if number else 0
            end = start + int(chance.lognormvariate(1.5, 1.2) * _MS)
            failed = chance.random() < 0.01
            spans.append(
                StoredSpan(
                    span_id,
                    parent,
                    chance.choice(_NAMES),
                    2 if number % 2 == 0 else 3,
                    2 if failed else 0,
                    start,
                    end,
                    chance.choice(self._resources),
                    self._scope,
                    self._attributes(tenant, failed=failed),
                    "upstream is gone" if failed else "",
                )
            )
        return spans

    def _attributes(self, tenant: str, *, failed: bool) -> dict[str, str | int | float | bool]:
        chance = self._chance
        return {
            "http.request.method": chance.choice(("GET", "POST")),
            "http.response.status_code": 503 if failed else 200,
            "http.route": chance.choice(ROUTES),
            "tenant": tenant,
            "user.id": f"user-{chance.randrange(20_000)}",
            "gen_ai.request.model": chance.choice(MODELS),
            "gen_ai.usage.output_tokens": int(chance.expovariate(1 / 400)),
            "cost": round(chance.expovariate(100), 5),
            "cached": chance.random() < 0.3,
            "request.id": f"{chance.getrandbits(48):012x}",
        }
