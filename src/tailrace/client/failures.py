"""Failures, groups and dead letters of a server, asked for as those of a store are."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import quote

import msgspec
from msgspec import Struct

from tailrace.client.calls import Call, Pairs, encode
from tailrace.client.traces import pairs
from tailrace.errors import DefinitionError
from tailrace.model.failure import FailureFilter, FailureGroup, FailureSnapshot
from tailrace.model.letter import DeadLetter, RecoveryAction, Redrive

if TYPE_CHECKING:
    from tailrace.client.sync import Client

T = TypeVar("T")
_PAGE = 500
_JSON: Pairs = (("Content-Type", "application/json"),)
_FAILURES, _LETTERS = "/api/failures", "/api/dead-letters"


class _Failures(Struct):
    items: list[FailureSnapshot]


class _Letters(Struct):
    items: list[DeadLetter]


class Groups(Struct):
    """The groups of a filter that failed most, and what they are a part of."""

    groups: list[FailureGroup] = msgspec.field(name="items")
    matching: int = 0
    failures: int = 0


class LetterShown(Struct):
    """A letter with its redrives."""

    letter: DeadLetter
    redrives: list[Redrive] = msgspec.field(default_factory=list)


class RemoteFailures:
    """Failures and groups of a server; see ``SqliteFailureLog`` for what the methods give.

    Raises:
        TransportError: the server does not answer.
        NotAllowed: the key is missing, wrong, or may not.
    """

    def __init__(self, client: Client) -> None:
        self._client = client

    def failures(self, wanted: FailureFilter, *, limit: int = 50) -> list[FailureSnapshot]:
        """Return failures, newest first."""

        def page(part: FailureFilter, most: int) -> list[FailureSnapshot]:
            call: Call[_Failures] = _get(_FAILURES, _Failures, _query(part) + _limit(most))
            return self._client.send(call).items

        return _pages(page, wanted, limit, lambda one: (one.failure_id, one.captured_ns))

    def failure(self, prefix: str) -> FailureSnapshot:
        """Return the one failure whose id begins so.

        Raises:
            NotFound: none, or more than one, matches.
        """
        call: Call[FailureSnapshot] = _get(f"{_FAILURES}/{_name(prefix)}", FailureSnapshot)
        return self._client.send(call)

    def counts(self, wanted: FailureFilter) -> dict[str, dict[str, int]]:
        """Return exact counts by what is counted."""
        shape = dict[str, dict[str, int]]
        call: Call[dict[str, dict[str, int]]] = _get(f"{_FAILURES}/counts", shape, _query(wanted))
        return self._client.send(call)

    def survey(
        self, wanted: FailureFilter, *, states: Sequence[str] = (), limit: int = 50
    ) -> Groups:
        """Return the groups that failed most, at most 500, and how many there are."""
        query = _query(wanted) + tuple(("group_state", one) for one in states)
        call: Call[Groups] = _get(f"{_FAILURES}/groups", Groups, query + _limit(min(limit, _PAGE)))
        return self._client.send(call)

    def groups(
        self, wanted: FailureFilter, *, states: Sequence[str] = (), limit: int = 50
    ) -> list[FailureGroup]:
        """Return groups, those with most failures first, at most 500."""
        return self.survey(wanted, states=states, limit=limit).groups

    def trends(
        self, wanted: FailureFilter, fingerprints: Iterable[str], edges: Sequence[int]
    ) -> dict[str, list[int]]:
        """Return the failures of groups that match between each edge and the next."""
        named = [*fingerprints]
        if not named:
            return {}
        query = _query(wanted)
        query += tuple(("of", one) for one in named) + tuple(("edge", str(at)) for at in edges)
        call: Call[dict[str, list[int]]] = _get(f"{_FAILURES}/trends", dict[str, list[int]], query)
        return self._client.send(call)

    def change_group(
        self,
        fingerprint: str,
        action: str,
        *,
        actor: str,
        reason: str = "",
        until_ns: int = 0,
        into: str = "",
    ) -> FailureGroup:
        """``resolve``, ``ignore`` or ``reopen`` a group, and return it as it is now.

        Raises:
            NotFound: the fingerprint names no group, or more than one.
            DefinitionError: groups of a server cannot be merged (TR408).
        """
        if into:
            raise DefinitionError(
                "groups of a server cannot be merged",
                code="TR408",
                hint="resolve or ignore them; groups of a database here can be merged",
            )
        body = {"action": action, "reason": reason, "until_ns": until_ns, "actor": actor}
        call: Call[FailureGroup] = Call(
            method="POST",
            path=f"{_FAILURES}/groups/{_name(fingerprint)}",
            shape=FailureGroup,
            body=encode(body, "reason"),
            headers=_JSON,
        )
        return self._client.send(call)


class RemoteLetters:
    """Dead letters of a server; see ``SqliteDeadLetters`` for what the methods give.

    Raises:
        TransportError: the server does not answer.
        NotAllowed: the key is missing, wrong, or may not.
    """

    def __init__(self, client: Client) -> None:
        self._client = client

    def letters(self, wanted: FailureFilter, *, limit: int = 50) -> list[DeadLetter]:
        """Return letters, newest first; without ``state`` those that are open or parked."""

        def page(part: FailureFilter, most: int) -> list[DeadLetter]:
            call: Call[_Letters] = _get(_LETTERS, _Letters, _query(part) + _limit(most))
            return self._client.send(call).items

        return _pages(page, wanted, limit, lambda one: (one.dl_id, one.created_ns))

    def letter(self, prefix: str) -> DeadLetter:
        """Return the one letter whose id begins so.

        Raises:
            NotFound: none, or more than one, matches.
        """
        return self.shown(prefix).letter

    def shown(self, prefix: str) -> LetterShown:
        """Return the one letter whose id begins so, with its redrives.

        Raises:
            NotFound: none, or more than one, matches.
        """
        call: Call[LetterShown] = _get(f"{_LETTERS}/{_name(prefix)}", LetterShown)
        return self._client.send(call)


class RemoteRedrives:
    """What was done with the dead letters of a server; each letter tells it of itself."""

    def __init__(self, client: Client) -> None:
        self._letters = RemoteLetters(client)

    def redrives(self, *, dl_id: str) -> list[Redrive]:
        """Return the redrives of a letter, oldest first."""
        return self._letters.shown(dl_id).redrives

    def actions(self, subject: str) -> list[RecoveryAction]:
        """Return what people did with a letter, oldest first."""
        done = self._letters.letter(subject).source.get("actions", ())
        return [
            RecoveryAction(
                seq=number,
                at_ns=int(one.get("at_ns", 0)),
                subject=subject,
                action=str(one.get("action", "")),
                actor=str(one.get("actor", "")),
                reason=str(one.get("reason", "")),
            )
            for number, one in enumerate(done, 1)
        ]


def _get(path: str, shape: object, query: Pairs = ()) -> Call[T]:
    return Call(method="GET", path=path, shape=shape, query=query)


def _query(wanted: FailureFilter) -> Pairs:
    fields = msgspec.to_builtins(wanted)
    fields.pop("ids", None)
    fields.pop("tenant", None)
    return pairs(**fields)


def _limit(most: int) -> Pairs:
    return (("limit", str(most)),)


def _name(text: str) -> str:
    return quote(text, safe="")


def _pages(
    page: Callable[[FailureFilter, int], list[T]],
    wanted: FailureFilter,
    limit: int,
    key: Callable[[T], tuple[str, int]],
) -> list[T]:
    """Return what matches, page after page: each ends before the last instant of the one before."""
    found: dict[str, T] = {}
    while len(found) < limit:
        most = min(_PAGE, limit - len(found) + 1)
        rows = page(wanted, min(most, _PAGE))
        before = len(found)
        found |= {key(row)[0]: row for row in rows}
        if len(rows) < most or len(found) == before:
            break
        wanted = msgspec.structs.replace(wanted, until_ns=key(rows[-1])[1] + 1)
    return [*found.values()][:limit]
