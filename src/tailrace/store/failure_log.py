"""Failures and their groups in the store's file."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from tailrace.model.failure import FailureFilter, FailureGroup, FailureSnapshot
from tailrace.model.letter import DeadLetter
from tailrace.store.access import unique_id
from tailrace.store.adapter import FileAdapter
from tailrace.store.conditions import of_failures, params, where
from tailrace.store.failure_counts import count_all
from tailrace.store.failure_row import SELECT, failure_of
from tailrace.store.group_changes import GroupOrder, change_group
from tailrace.store.groups import groups_named
from tailrace.store.purge import Purged, purge
from tailrace.store.survey import Survey, survey, trend
from tailrace.store.tenants import of_failed
from tailrace.store.writer import Writer


class SqliteFailureLog(FileAdapter):
    """Failures in one SQLite file, beside the runs.

    Failures of runs get there through the journal. Those that are recorded here are in the file
    when ``record`` returns: they survive SIGKILL, and those that lead to letters the loss of
    power. Concurrency: any number of threads and processes may record; readers block nobody.
    """

    def record(
        self, snapshots: Sequence[FailureSnapshot], letters: Sequence[DeadLetter] = ()
    ) -> None:
        """Make failures from outside of runs durable, and the letters they lead to.

        A failure that is there already takes the newer path, trail and disposition. Groups are
        counted in the same commit. Beyond the flood limit a failure is counted without a record,
        unless one of the letters is about it.

        Raises:
            StoreError: nothing was written.
        """

        def act(writer: Writer) -> None:
            dated = [writer.limits.dated(letter) for letter in letters]
            writer.failures.record(snapshots, dated)

        self._file.write(act, lasting=bool(letters))

    def failures(self, wanted: FailureFilter, *, limit: int = 50) -> list[FailureSnapshot]:
        """Return failures, newest first."""
        with self._file.reading() as db:
            groups = groups_named(db, wanted.fingerprint) if wanted.fingerprint else None
            terms = of_failures(wanted, groups)
            query = f"{SELECT}{where(terms)} ORDER BY f.at DESC, f.id DESC LIMIT ?"
            rows = db.execute(query, (*params(terms), limit)).fetchall()
            return [failure_of(row) for row in rows]

    def failure(self, prefix: str, *, tenant: str | None = None) -> FailureSnapshot:
        """Return the one failure whose id begins so (``F-`` may be left out).

        Args:
            prefix: the beginning of the id.
            tenant: of an index: whose failures are the only ones; None: of all.

        Raises:
            NotFound: none, or more than one, matches.
        """
        with self._file.reading() as db:
            own = None if tenant is None else (of_failed("failure.run"), tenant)
            failure_id = unique_id(db, "failure_id", "failure", prefix, "F-", own=own)
            row = db.execute(f"{SELECT} WHERE f.failure_id = ?", (failure_id,)).fetchone()
            return failure_of(row)

    def groups(
        self, wanted: FailureFilter, *, states: Sequence[str] = (), limit: int = 50
    ) -> list[FailureGroup]:
        """Return groups, those with most failures in the filter's time first; counts are exact.

        Failures without a record of their own are counted too, as far as the filter asks for
        nothing but category, class, type, fingerprint, disposition and time.
        """
        return self.survey(wanted, states=states, limit=limit).groups

    def survey(
        self, wanted: FailureFilter, *, states: Sequence[str] = (), limit: int = 50
    ) -> Survey:
        """Return the same groups, and how many there are of them and of their failures."""
        with self._file.reading() as db:
            return survey(db, wanted, states=states, limit=limit)

    def trends(
        self, wanted: FailureFilter, fingerprints: Iterable[str], edges: Sequence[int]
    ) -> dict[str, list[int]]:
        """Return the failures of groups that match between each edge and the next; see ``trend``.

        Times of the filter are left out: ``edges`` are nanoseconds since the epoch, rising.
        """
        with self._file.reading() as db:
            return {one: trend(db, wanted, one, edges) for one in fingerprints}

    def counts(self, wanted: FailureFilter) -> dict[str, dict[str, int]]:
        """Return exact counts by what is counted.

        ``category``, ``class``, ``disposition`` (of failures), ``letters`` (by state),
        ``letter_reasons``, ``groups`` (by state), and ``total``: ``failures``, of which
        ``records`` have a record and ``suppressed`` have none.
        """
        with self._file.reading() as db:
            return count_all(db, wanted)

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
        """``resolve``, ``ignore``, ``reopen`` or ``merge`` a group and return it as it is now.

        A resolved group regresses when code fails that this store saw first after the code that
        had failed last. What is merged counts in the other group from now on, until it is
        reopened.

        Args:
            fingerprint: the group's, or the beginning of it.
            action: what to do.
            actor: who does it.
            reason: why, for the audit trail.
            until_ns: with ``ignore``, when failures open it again; 0: never.
            into: with ``merge``, the fingerprint of the other group, or the beginning of it.

        Raises:
            NotFound: a fingerprint names no group, or more than one.
            StoreError: there is no such action, or both groups are one (TR509).
        """
        order = GroupOrder(
            fingerprint=fingerprint,
            action=action,
            actor=actor,
            reason=reason,
            until_ns=until_ns,
            into=into,
        )
        return self._file.write(lambda writer: change_group(writer.db, order))

    def purge(self, *, until_ns: int, actor: str, reason: str = "") -> Purged:
        """Delete what is older, in one commit, and say how much it was.

        Failures before that instant, and letters that were resolved or discarded before it. Never
        letters that are open, parked or being redriven, nor failures of the runs they point to.
        Groups stay, and so do their counts.

        Raises:
            StoreError: nothing was deleted.
        """
        return self._file.write(
            lambda writer: purge(writer.db, until_ns=until_ns, actor=actor, reason=reason)
        )
