"""Whether a failure or a dead letter is what a ``FailureFilter`` means."""

from __future__ import annotations

from tailrace.model.failure import FailureFilter, FailureSnapshot
from tailrace.model.letter import DeadLetter


def means_failure(wanted: FailureFilter, failure: FailureSnapshot, site: str = "") -> bool:
    """Return whether a failure matches.

    Args:
        wanted: the filter; its ``reason`` is about letters and is not looked at.
        failure: the failure.
        site: fingerprint of the group it counts in; empty: its own.
    """
    return (
        _is_common(wanted, failure, node=failure.node_id, at_ns=failure.captured_ns)
        and _begins(wanted.fingerprint, failure.fp_site, failure.fp_template, site)
        and wanted.run in {"", failure.run_id}
        and wanted.state in {"", failure.disposition}
        and (not wanted.ids or failure.failure_id in wanted.ids)
    )


def means_letter(wanted: FailureFilter, letter: DeadLetter) -> bool:
    """Return whether a letter matches, its state aside."""
    work = letter.task_key.partition(":")[0]
    return (
        _is_common(wanted, letter, node=letter.node_id, at_ns=letter.created_ns)
        and _begins(wanted.fingerprint, letter.fp_site, letter.fp_template)
        and wanted.run in {"", letter.run_id, work}
        and wanted.reason in {"", letter.reason}
        and (not wanted.ids or letter.dl_id in wanted.ids)
    )


def _is_common(
    wanted: FailureFilter, one: FailureSnapshot | DeadLetter, *, node: str, at_ns: int
) -> bool:
    return (
        wanted.category in {"", one.category}
        and wanted.class_ in {"", one.class_}
        and _is_named(wanted.type, one.type)
        and wanted.flow in {"", one.flow}
        and _is_named(wanted.node, node)
        and wanted.code_version in {"", one.code_version}
        and _is_tagged(wanted.tag, one.tags)
        and (wanted.since_ns is None or at_ns >= wanted.since_ns)
        and (wanted.until_ns is None or at_ns < wanted.until_ns)
    )


def _is_named(wanted: str, name: str) -> bool:
    return not wanted or name == wanted or name.endswith(f".{wanted}")


def _is_tagged(wanted: str, tags: tuple[tuple[str, str], ...]) -> bool:
    key, equals, value = wanted.partition("=")
    return not wanted or any(one == key and (not equals or it == value) for one, it in tags)


def _begins(wanted: str, *fingerprints: str) -> bool:
    text = wanted.strip().lower()
    low = text if ":" in text else f"v1:{text}"
    return not wanted or any(one.startswith(low) for one in fingerprints)
