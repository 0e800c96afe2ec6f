"""OpenTelemetry's API inside tasks: the attempt is the current span, and spans opened are kept.

Nothing here imports OpenTelemetry before the program has.
"""

from tailrace.tracing.bridge.recorder import Inner, Recorder
from tailrace.tracing.bridge.watch import BRIDGE, bridge_to, innermost

__all__ = ["BRIDGE", "Inner", "Recorder", "bridge_to", "innermost"]
