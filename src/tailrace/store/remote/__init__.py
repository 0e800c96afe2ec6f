"""Runs that are executed elsewhere: the index of a gateway, made from the streams of NATS."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tailrace.lazy import lazy_names

if TYPE_CHECKING:
    from tailrace.store.remote.letters import LetterMessage
    from tailrace.store.remote.listed import ListedRun
    from tailrace.store.remote.messages import Batch, Gone, Message, Queued, Stands, Wish
    from tailrace.store.remote.pieces import Piece
    from tailrace.store.remote.positions import Position
    from tailrace.store.remote.reader import ListFilter, RemoteReader
    from tailrace.store.remote.writer import RemoteWriter

_HOMES = {
    "Batch": "messages",
    "Gone": "messages",
    "LetterMessage": "letters",
    "ListFilter": "reader",
    "ListedRun": "listed",
    "Message": "messages",
    "Piece": "pieces",
    "Position": "positions",
    "Queued": "messages",
    "RemoteReader": "reader",
    "RemoteWriter": "writer",
    "Stands": "messages",
    "Wish": "messages",
}
"""The module of this room that defines each name."""

__all__ = [
    "Batch",
    "Gone",
    "LetterMessage",
    "ListFilter",
    "ListedRun",
    "Message",
    "Piece",
    "Position",
    "Queued",
    "RemoteReader",
    "RemoteWriter",
    "Stands",
    "Wish",
]

if not TYPE_CHECKING:
    __getattr__, __dir__ = lazy_names(__name__, _HOMES)
