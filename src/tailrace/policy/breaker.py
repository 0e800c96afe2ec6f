"""Circuit breakers: while a dependency is down, attempts wait for it and are not used up."""

from __future__ import annotations

from threading import Lock

from msgspec import Struct
from msgspec.structs import replace

from tailrace.errors import PolicyValidationError
from tailrace.model import ErrorCategory

_ASKS = 10
"""Times per cooldown that an attempt asks again while another one probes."""
_MOST = 1e9
_OUTAGES = frozenset(
    {ErrorCategory.TRANSIENT.value, ErrorCategory.TIMEOUT.value, ErrorCategory.UNKNOWN.value}
)


class Circuit(Struct, frozen=True):
    """State of one breaker: closed, open since an instant, or half-open with probes under way."""

    failures: int = 0
    """Failures in a row."""
    opened: float | None = None
    """Instant at which it opened; None: closed."""
    probes: tuple[float, ...] = ()
    """Instants at which probes were let through."""


class Breaker(Struct, frozen=True):
    """Rules of a breaker. Pure: state in, state out; instants are seconds of a steady clock.

    Raises:
        PolicyValidationError: a field is out of its bounds; all problems at once.
    """

    threshold: int = 5
    """Failures in a row that open it, 1 or more."""
    cooldown: float = 30.0
    """Seconds that it stays open before a probe is let through, more than 0."""
    probes: int = 1
    """Attempts let through at a time while it is half-open, 1 or more."""

    def __post_init__(self) -> None:
        """Check the bounds."""
        found = [
            f"Breaker.{name} is {getattr(self, name)!r}; it must be a whole number, 1 or more"
            for name in ("threshold", "probes")
            if not (isinstance(getattr(self, name), int) and getattr(self, name) >= 1)
        ]
        if not 0 < self.cooldown < _MOST:
            found.append(f"Breaker.cooldown is {self.cooldown!r}; it must be a number above 0")
        if found:
            raise PolicyValidationError(found)

    def admit(self, circuit: Circuit, now: float) -> tuple[Circuit, float]:
        """Return the state after an attempt asks, and 0 to go or seconds to wait and ask again."""
        if circuit.opened is None:
            return circuit, 0.0
        ready = circuit.opened + self.cooldown
        if now < ready:
            return circuit, ready - now
        # A probe that never reports back must not keep all others out for good.
        waiting = tuple(began for began in circuit.probes if now < began + self.cooldown)
        if len(waiting) < self.probes:
            return replace(circuit, probes=(*waiting, now)), 0.0
        return replace(circuit, probes=waiting), self.cooldown / _ASKS

    def succeeded(self, circuit: Circuit) -> Circuit:
        """Return the state after an attempt succeeded; one from before it opened says nothing."""
        if circuit.opened is not None and not circuit.probes:
            return circuit
        return Circuit()

    def failed(self, circuit: Circuit, now: float) -> Circuit:
        """Return the state after an attempt failed; one from before it opened says nothing."""
        if circuit.opened is not None and not circuit.probes:
            return circuit
        failures = circuit.failures + 1
        if circuit.probes or failures >= self.threshold:
            return Circuit(failures, now)
        return Circuit(failures)


class Breakers:
    """The breakers of one process, by the name of what is called.

    Concurrency: any thread may call; no call waits longer than another one takes.
    """

    def __init__(self, breaker: Breaker | None = None) -> None:
        self._breaker = breaker or Breaker()
        self._circuits: dict[str, Circuit] = {}
        self._lock = Lock()

    def admit(self, key: str, now: float) -> float:
        """Return 0 when an attempt may go, else the seconds after which it asks again."""
        with self._lock:
            circuit, wait = self._breaker.admit(self._circuits.get(key, _CLOSED), now)
            self._circuits[key] = circuit
            return wait

    def succeeded(self, key: str) -> None:
        """Tell that an attempt succeeded, or failed in a way that shows the dependency is up."""
        with self._lock:
            self._circuits[key] = self._breaker.succeeded(self._circuits.get(key, _CLOSED))

    def failed(self, key: str, now: float) -> None:
        """Tell that an attempt failed because the dependency is down, or does not answer."""
        with self._lock:
            self._circuits[key] = self._breaker.failed(self._circuits.get(key, _CLOSED), now)

    def settle(self, key: str, category: str, now: float) -> None:
        """Tell of a failure by its category: a permanent one is an answer, a cancel is none."""
        if category in _OUTAGES:
            self.failed(key, now)
        elif category == ErrorCategory.PERMANENT.value:
            self.succeeded(key)


_CLOSED = Circuit()
