"""What tests of flows need: adapters in memory."""

from tailrace.testing.event_log import MemoryEventLog
from tailrace.testing.memory import MemoryJournal, MemoryStore

__all__ = ["MemoryEventLog", "MemoryJournal", "MemoryStore"]
