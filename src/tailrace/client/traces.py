"""Traces of a server, asked for as those of a store are."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import quote

from msgspec import Struct, field

from tailrace.client.calls import Call, Pairs
from tailrace.model.ids import RunId, SpanId
from tailrace.model.search import MetricsResult, SearchResult
from tailrace.model.span import Folded, RunSummary, Span, Trace
from tailrace.model.states import SpanStatus, SpanType
from tailrace.tracing.account import Account, Tally, account
from tailrace.tracing.state import Shape, SpanState

if TYPE_CHECKING:
    from tailrace.client.sync import Client
    from tailrace.traceql import CheckedQuery
    from tailrace.traceql.budget import Budget

_DIGITS = 32
_AT_ONCE = 100
"""Ids in one request."""
_MOST = 500
_SECONDS = 60.0


class _Runs(Struct):
    items: list[RunSummary]


class _Shown(Struct):
    run: RunSummary
    spans: list[Span]
    folded: dict[SpanId, list[Folded]] = field(default_factory=dict)
    resumed_by: RunId | None = None


class Link(RunSummary, kw_only=True):
    """A run of a chain, and what its nodes did."""

    nodes: Tally


class Chain(Struct):
    """Runs of a chain of resumes and redrives, oldest first."""

    items: list[Link]
    total: int
    """Runs of the whole chain."""


class _Shape(Struct):
    type: SpanType
    construct: str
    task: str
    attributes: dict[str, Any]


class _State(Struct):
    number: int
    parent: int
    shape: int
    name: str
    path: str
    start: int
    attributes: dict[str, Any]
    end: int | None
    status: SpanStatus
    message: str

    def state(self, shapes: list[Shape]) -> SpanState:
        return SpanState(
            self.number,
            self.parent,
            shapes[self.shape],
            self.name,
            self.path,
            self.start,
            self.attributes,
            self.end,
            self.status,
            self.message,
        )


class _States(Struct):
    run: RunSummary
    fingerprints: dict[str, str]
    shapes: list[_Shape]
    spans: list[_State]


class RemoteTraces:
    """Runs and traces of a server; see ``SqliteTraceReader`` for what the methods give.

    Raises:
        TransportError: the server does not answer.
        NotAllowed: the key is missing, wrong, or may not.
    """

    def __init__(self, client: Client) -> None:
        self._client = client
        self._later: dict[str, RunId | None] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def runs(
        self,
        *,
        limit: int = 50,
        status: str | None = None,
        flow: str | None = None,
        since_ns: int | None = None,
        until_ns: int | None = None,
        foreign: bool = False,
    ) -> list[RunSummary]:
        """Return runs, newest first, at most 500."""
        query = pairs(
            limit=min(limit, _MOST),
            status=status,
            flow=flow,
            since_ns=since_ns,
            until_ns=until_ns,
            runs_only=None if foreign else "true",
        )
        return self._client.send(_list("/api/traces", query)).items

    def runs_of(self, trace_ids: Iterable[str]) -> Iterator[RunSummary]:
        """Yield runs and traces by their ids, in that order, without those that are gone."""
        ids = [*trace_ids]
        for first in range(0, len(ids), _AT_ONCE):
            query = tuple(("run_id", one) for one in ids[first : first + _AT_ONCE])
            yield from self._client.send(_list("/api/traces", query)).items

    def run(self, run_id: str) -> RunSummary:
        """Return a run as it stands.

        Raises:
            NotFound: there is none.
        """
        return self.trace(run_id, events=False, siblings=1).run

    def resolve(self, prefix: str) -> RunId:
        """Return the one id with this prefix; ``@last`` and ``@last-failed`` are known too.

        Raises:
            NotFound: none, or more than one, matches.
        """
        if len(prefix) == _DIGITS:
            return RunId(prefix.lower())
        return self.run(prefix).run_id

    def trace(self, run_id: str, *, events: bool = True, siblings: int | None = None) -> Trace:
        """Return a trace, or a part of a large one.

        Raises:
            NotFound: there is none.
        """
        call: Call[_Shown] = Call(
            method="GET",
            path=_path(run_id),
            shape=_Shown,
            query=pairs(events=str(events).lower(), siblings=siblings),
        )
        found = self._client.send(call)
        self._later[found.run.run_id] = found.resumed_by
        return Trace(run=found.run, spans=found.spans, folded=found.folded)

    def gone_on_by(self, run_id: str) -> RunId | None:
        """Return the newest run that went on with this one; None: nobody has."""
        if run_id not in self._later:
            self.run(run_id)
        return self._later.get(run_id)

    def lineage(self, run_id: str) -> list[RunSummary]:
        """Return the chain of resumes and redrives that a run is part of, oldest first.

        Raises:
            NotFound: there is no such run.
        """
        return self._client.send(_list(f"{_path(run_id)}/lineage", ())).items

    def chain(self, run_id: str, *, limit: int) -> Chain:
        """Return the newest runs of such a chain with what their nodes did, oldest first.

        Raises:
            NotFound: there is no such run.
        """
        query = pairs(nodes="true", limit=limit)
        call: Call[Chain] = Call(
            method="GET", path=f"{_path(run_id)}/lineage", shape=Chain, query=query
        )
        return self._client.send(call)

    def account(self, run_id: str) -> Account:
        """Return what a run did, as far as it is compared with another.

        Raises:
            NotFound: there is no such run.
        """
        call: Call[_States] = Call(method="GET", path=f"{_path(run_id)}/states", shape=_States)
        found = self._client.send(call)
        shapes = [Shape(one.type, one.construct, one.task, one.attributes) for one in found.shapes]
        spans = (one.state(shapes) for one in found.spans)
        return account(found.run, spans, found.fingerprints)


class RemoteSearch:
    """TraceQL over the traces of a server; see ``SqliteSearch`` for what the methods give.

    Raises:
        TransportError: the server does not answer.
        NotAllowed: the key is missing, wrong, or may not.
    """

    def __init__(self, client: Client) -> None:
        self._client = client

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def search(
        self,
        query: CheckedQuery,
        *,
        since_ns: int | None = None,
        until_ns: int | None = None,
        limit: int = 50,
        spans_per_set: int = 3,
        flow: str | None = None,
        status: str | None = None,
        budget: Budget | None = None,
    ) -> SearchResult:
        """Return the newest traces that match, at most 500."""
        call: Call[SearchResult] = Call(
            method="GET",
            path="/api/search",
            shape=SearchResult,
            query=pairs(
                q=_text(query),
                since_ns=since_ns,
                until_ns=until_ns,
                limit=min(limit, _MOST),
                spans_per_set=spans_per_set,
                flow=flow,
                status=status,
                seconds=None if budget is None else min(budget.seconds, _SECONDS),
            ),
        )
        return self._client.send(call)

    def metrics(
        self,
        query: CheckedQuery,
        *,
        since_ns: int,
        until_ns: int,
        step_ns: int | None = None,
        exemplars: int = 0,
        instant: bool = False,
        budget: Budget | None = None,
    ) -> MetricsResult:
        """Return series over time."""
        call: Call[MetricsResult] = Call(
            method="GET",
            path="/api/metrics/query_range",
            shape=MetricsResult,
            query=pairs(
                q=_text(query),
                since_ns=since_ns,
                until_ns=until_ns,
                step_ns=step_ns,
                exemplars=exemplars,
                instant=str(instant).lower(),
                seconds=None if budget is None else min(budget.seconds, _SECONDS),
            ),
        )
        return self._client.send(call)


def pairs(**given: Any) -> Pairs:
    """Return a query string's parts; None and empty texts are left out."""
    return tuple((name, str(value)) for name, value in given.items() if value not in {None, ""})


def _text(query: CheckedQuery) -> str:
    from tailrace.traceql import render  # noqa: PLC0415 - lists need none

    return render(query.source)


def _list(path: str, query: Pairs) -> Call[_Runs]:
    return Call(method="GET", path=path, shape=_Runs, query=query)


def _path(run_id: str) -> str:
    return f"/api/traces/{quote(run_id, safe='')}"
