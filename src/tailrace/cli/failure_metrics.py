"""``tailrace failures metrics`` and ``prometheus``: counts for programs that watch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from tailrace.cli.group import command
from tailrace.cli.listing import FORMATS, show_facts
from tailrace.cli.options import Store, format_option, store_option
from tailrace.cli.session import current_session
from tailrace.cli.stores import failure_log
from tailrace.failures.telemetry.prometheus import Family, Sample, prometheus_text
from tailrace.model.failure import Disposition, FailureClass, FailureFilter, GroupState
from tailrace.model.letter import LetterReason, LetterState
from tailrace.model.states import ErrorCategory

Counts = Mapping[str, Mapping[str, int]]
_FAMILIES = (
    ("category", "tailrace_store_failures", "category", "Failures in the store.", ErrorCategory),
    (
        "class",
        "tailrace_store_failures_by_class",
        "class",
        "Failures in the store by class.",
        FailureClass,
    ),
    (
        "disposition",
        "tailrace_store_failures_by_outcome",
        "outcome",
        "Failures in the store by where they ended.",
        Disposition,
    ),
    ("groups", "tailrace_failure_groups", "state", "Groups of failures.", GroupState),
    ("letters", "tailrace_dead_letters", "state", "Dead letters.", LetterState),
    (
        "letter_reasons",
        "tailrace_dead_letters_by_reason",
        "reason",
        "Dead letters by why they gave up.",
        LetterReason,
    ),
)


@command()
@store_option
@format_option(*FORMATS)
def metrics(db: Store, output: str) -> int:
    """Show counts of the store as numbers, zeros included.

    \b
      tailrace failures metrics --format json
    """  # noqa: D301 - \b is click's mark for lines to keep
    counts = failure_log(db).counts(FailureFilter())
    numbers = {
        f"{family.name}.{value}": int(sample.value)
        for family in families(counts)
        for sample in family.samples
        for value in sample.labels.values()
    }
    pairs = [(name, f"{number:,}") for name, number in numbers.items()]
    show_facts(pairs, output, data=lambda: numbers)
    return 0


@command()
@store_option
def prometheus(db: Store) -> int:
    """Show counts of the store in Prometheus' text format: for a textfile collector.

    All are gauges: a purge lowers them. Labels are bounded; there is none per message or node.

    \b
      tailrace failures prometheus > /var/lib/node_exporter/tailrace.prom
    """  # noqa: D301 - \b is click's mark for lines to keep
    counts = failure_log(db).counts(FailureFilter())
    terminal = current_session().out
    terminal.lines(prometheus_text(families(counts)).splitlines())
    return 0


def families(counts: Counts) -> Iterator[Family]:
    """Yield the counts as families with one sample per known value, zeros included."""
    for key, name, label, text, values in _FAMILIES:
        numbers = counts.get(key, {})
        known = {one.value: 0 for one in values}
        samples = [
            Sample(count, {label: value}) for value, count in (known | dict(numbers)).items()
        ]
        yield Family(name, "gauge", text, samples)
