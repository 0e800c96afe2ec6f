"""NATS JetStream behind the ports: queue, states and journals of runs, dead letters, spans.

Names are loaded when first used: nats-py is an extra, and not everybody who asks for one name
needs it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tailrace.lazy import lazy_names

if TYPE_CHECKING:
    from tailrace.jetstream.access import address_of, limits_of, names_of
    from tailrace.jetstream.address import Address
    from tailrace.jetstream.again import persist
    from tailrace.jetstream.answers import NotReady, Refused, Stored, Unreachable
    from tailrace.jetstream.delivery import JetStreamDelivery
    from tailrace.jetstream.follow import Follower, StreamReplaced, identity
    from tailrace.jetstream.letters import JetStreamLetters
    from tailrace.jetstream.link import Fence, Link
    from tailrace.jetstream.live import LiveStates, Watcher
    from tailrace.jetstream.names import Names, is_token
    from tailrace.jetstream.objects import JetStreamObjects
    from tailrace.jetstream.queue import JetStreamQueue
    from tailrace.jetstream.reconcile import Mended, Reconciler
    from tailrace.jetstream.redrive import mend_redrives, redrive_letter
    from tailrace.jetstream.registry import JetStreamRegistry
    from tailrace.jetstream.resources import Difference, Limits, ensure, migrate
    from tailrace.jetstream.states import JetStreamStates

_HOMES = {
    "Address": "address",
    "Difference": "resources",
    "Fence": "link",
    "Follower": "follow",
    "JetStreamDelivery": "delivery",
    "JetStreamLetters": "letters",
    "JetStreamObjects": "objects",
    "JetStreamQueue": "queue",
    "JetStreamRegistry": "registry",
    "JetStreamStates": "states",
    "Limits": "resources",
    "Link": "link",
    "LiveStates": "live",
    "Mended": "reconcile",
    "Names": "names",
    "NotReady": "answers",
    "Reconciler": "reconcile",
    "Refused": "answers",
    "Stored": "answers",
    "StreamReplaced": "follow",
    "Unreachable": "answers",
    "Watcher": "live",
    "address_of": "access",
    "ensure": "resources",
    "identity": "follow",
    "is_token": "names",
    "limits_of": "access",
    "mend_redrives": "redrive",
    "migrate": "resources",
    "names_of": "access",
    "persist": "again",
    "redrive_letter": "redrive",
}
"""The module of this package that defines each name; ``server`` stands alone."""

__all__ = [
    "Address",
    "Difference",
    "Fence",
    "Follower",
    "JetStreamDelivery",
    "JetStreamLetters",
    "JetStreamObjects",
    "JetStreamQueue",
    "JetStreamRegistry",
    "JetStreamStates",
    "Limits",
    "Link",
    "LiveStates",
    "Mended",
    "Names",
    "NotReady",
    "Reconciler",
    "Refused",
    "Stored",
    "StreamReplaced",
    "Unreachable",
    "Watcher",
    "address_of",
    "ensure",
    "identity",
    "is_token",
    "limits_of",
    "mend_redrives",
    "migrate",
    "names_of",
    "persist",
    "redrive_letter",
]

if not TYPE_CHECKING:
    __getattr__, __dir__ = lazy_names(__name__, _HOMES)
