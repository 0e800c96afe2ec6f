"""OpenTelemetry's API inside tasks: the attempt is the current span, and spans opened are kept.

Nothing here imports OpenTelemetry before the program has.
"""

from tailrace.tracing.bridge.recorder import Recorder
from tailrace.tracing.bridge.watch import bridge_to, entered, innermost, is_bridged

__all__ = ["Recorder", "bridge_to", "entered", "innermost", "is_bridged"]
