"""Failures and their groups in memory."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Collection, Sequence
from typing import Any

import msgspec

from tailrace.errors import NotFound, StoreError
from tailrace.failures.group_rules import state_after
from tailrace.failures.match import means_failure, means_letter
from tailrace.model.failure import FailureFilter, FailureGroup, FailureSnapshot, GroupState
from tailrace.model.letter import DeadLetter, LetterState


class MemoryFailures:
    """Keeps failures and dead letters for as long as it lives; every failure has its record."""

    def __init__(self) -> None:
        self._guard = threading.RLock()
        self._failures: dict[str, FailureSnapshot] = {}
        self._groups: dict[str, FailureGroup] = {}
        self._letters: dict[str, DeadLetter] = {}
        self._versions: dict[str, int] = {"": 0}

    def _catch_up(self) -> None:
        """Take in what has come since the last look."""

    def record(
        self, snapshots: Sequence[FailureSnapshot], letters: Sequence[DeadLetter] = ()
    ) -> None:
        """Keep failures from outside of runs, and the letters they lead to."""
        with self._guard:
            self._catch_up()
            for failure in snapshots:
                self._keep(failure)
            for letter in letters:
                self._letters.setdefault(letter.dl_id, letter)

    def failures(self, wanted: FailureFilter, *, limit: int = 50) -> list[FailureSnapshot]:
        """Return failures, newest first."""
        found = self._matching(wanted)
        found.reverse()
        found.sort(key=lambda failure: failure.captured_ns, reverse=True)
        return found[:limit]

    def failure(self, prefix: str) -> FailureSnapshot:
        """Return the one failure whose id begins so (``F-`` may be left out)."""
        with self._guard:
            self._catch_up()
            return self._failures[unique_id(self._failures, prefix, "F-")]

    def groups(
        self, wanted: FailureFilter, *, states: Sequence[str] = (), limit: int = 50
    ) -> list[FailureGroup]:
        """Return groups, those with most failures within the filter first."""
        with self._guard:
            found = self._matching(wanted)
            counts = Counter(self._group_of(failure).fp_site for failure in found)
            groups = [self._shown(site, count) for site, count in counts.items()]
        wanted_ones = [group for group in groups if not states or group.state in states]
        return sorted(wanted_ones, key=lambda group: -group.count)[:limit]

    def counts(self, wanted: FailureFilter) -> dict[str, dict[str, int]]:
        """Return exact counts by what is counted."""
        with self._guard:
            found = self._matching(wanted)
            sites = {self._group_of(failure).fp_site for failure in found}
            states = Counter(self._groups[site].state for site in sites)
            letters = [
                letter
                for letter in self._letters.values()
                if means_letter(wanted, letter) and wanted.state in {"", letter.state}
            ]
        return {
            "category": dict(Counter(failure.category for failure in found)),
            "class": dict(Counter(failure.class_ for failure in found)),
            "disposition": dict(Counter(failure.disposition for failure in found)),
            "letters": dict(Counter(letter.state for letter in letters)),
            "letter_reasons": dict(Counter(letter.reason for letter in letters)),
            "groups": dict(states),
            "total": {"failures": len(found), "records": len(found), "suppressed": 0},
        }

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
        """``resolve``, ``ignore``, ``reopen`` or ``merge`` a group and return it as it is now."""
        del actor, reason  # there is no audit trail in memory
        with self._guard:
            self._catch_up()
            site = unique_id(self._groups, fingerprint.lower(), "v1:", "group")
            changed: dict[str, Any]
            match action:
                case "resolve":
                    version = self._groups[site].last_version
                    changed = {"state": GroupState.RESOLVED.value, "resolved_version": version}
                case "ignore":
                    changed = {"state": GroupState.IGNORED.value, "ignored_until_ns": until_ns}
                case "reopen":
                    changed = {
                        "state": GroupState.OPEN.value,
                        "ignored_until_ns": 0,
                        "alias_of": "",
                    }
                case "merge":
                    target = unique_id(self._groups, into.lower(), "v1:", "group")
                    changed = {"alias_of": self._groups[target].alias_of or target}
                case _:
                    raise StoreError(f"a group cannot be {action!r}", code="TR509")
            if changed.get("alias_of") == site:
                raise StoreError("a group cannot be merged into itself", code="TR509")
            moved = [site, *(one.fp_site for one in self._groups.values() if one.alias_of == site)]
            for one in moved if action == "merge" else [site]:
                self._groups[one] = msgspec.structs.replace(self._groups[one], **changed)
            shown = changed.get("alias_of") or site
            members = [one for one in self._failures.values() if self._site(one) == shown]
            return self._shown(shown, len(members))

    def _matching(self, wanted: FailureFilter) -> list[FailureSnapshot]:
        with self._guard:
            self._catch_up()
            reasons = {letter.failure_id: letter.reason for letter in self._letters.values()}
            return [
                failure
                for failure in self._failures.values()
                if means_failure(wanted, failure, self._site(failure))
                and wanted.reason in {"", reasons.get(failure.failure_id)}
            ]

    def _keep(self, failure: FailureSnapshot) -> None:
        is_new = failure.failure_id not in self._failures
        self._failures[failure.failure_id] = failure
        if not is_new:
            return
        version = self._versions.setdefault(failure.code_version, len(self._versions))
        site, at = failure.fp_site, failure.captured_ns
        group = self._groups.get(site) or FailureGroup(
            fp_site=site, title="", type="", category="", first_ns=at
        )
        newest: dict[str, Any] = {}
        if at >= group.last_ns:
            newest = {
                "title": f"{failure.type}: {failure.message}",
                "type": failure.type,
                "category": failure.category,
                "class_": failure.class_,
                "location": failure.location,
                "flow": failure.flow,
                "node_id": failure.node_id,
                "last_ns": at,
                "last_version": failure.code_version or group.last_version,
                "last_failure_id": failure.failure_id,
            }
        first = min(group.first_ns, at)
        self._groups[site] = msgspec.structs.replace(group, first_ns=first, **newest)
        target = self._group_of(failure)
        state = state_after(
            target.state,
            at_ns=at,
            ignored_until_ns=target.ignored_until_ns,
            version=version,
            resolved=self._versions[target.resolved_version],
        )
        self._groups[target.fp_site] = msgspec.structs.replace(target, state=state)

    def _site(self, failure: FailureSnapshot) -> str:
        """Return the fingerprint of the group in which a failure counts."""
        return self._groups[failure.fp_site].alias_of or failure.fp_site

    def _group_of(self, failure: FailureSnapshot) -> FailureGroup:
        return self._groups[self._site(failure)]

    def _shown(self, site: str, count: int) -> FailureGroup:
        """Return a group with what is counted of it."""
        members = [one for one in self._failures.values() if self._site(one) == site]
        sites = {one.fp_site for one in members} | {site}
        letters = [one for one in self._letters.values() if one.fp_site in sites]
        return msgspec.structs.replace(
            self._groups[site],
            count=count,
            first_ns=min(self._groups[one].first_ns for one in sites),
            last_ns=max(self._groups[one].last_ns for one in sites),
            runs=len({one.run_id for one in members if one.run_id}),
            nodes=len({one.node_id for one in members if one.node_id}),
            open_letters=sum(one.state == LetterState.OPEN for one in letters),
        )


def unique_id(ids: Collection[str], prefix: str, mark: str, what: str = "record") -> str:
    """Return the one id that begins so; the mark that all begin with may be left out.

    Raises:
        NotFound: none, or more than one, matches.
    """
    text = prefix.strip() if mark.islower() else prefix.strip().upper()
    low = text if text.startswith(mark) else mark + text
    matches = [one for one in ids if one.startswith(low)] if text else []
    if len(matches) != 1:
        raise NotFound(f"{len(matches) or 'no'} ids of a {what} begin with {prefix!r}")
    return matches[0]
