"""What is counted for Prometheus; nothing here grows with the number of runs."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)


class Counters:
    """Counters and histograms of one gateway, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "tailrace_http_requests",
            "Requests that were answered.",
            ["method", "route", "status"],
            registry=self.registry,
        )
        self.submitted = Counter(
            "tailrace_runs_submitted",
            "Runs that this gateway has queued.",
            ["kind"],
            registry=self.registry,
        )
        self.duplicates = Counter(
            "tailrace_runs_duplicate",
            "Submissions of a run that was known already.",
            registry=self.registry,
        )
        self.refused = Counter(
            "tailrace_submissions_refused",
            "Submissions that were not valid.",
            registry=self.registry,
        )
        self.unavailable = Counter(
            "tailrace_nats_unavailable",
            "Requests that NATS did not answer.",
            registry=self.registry,
        )
        self.submit_seconds = Histogram(
            "tailrace_submit_seconds",
            "From the body of a submission to its place in the queue.",
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.watchers = Gauge(
            "tailrace_watchers", "Event streams that are open.", registry=self.registry
        )
        self.nats_up = Gauge(
            "tailrace_nats_up", "Whether the connection to NATS stands.", registry=self.registry
        )
