"""What tests of flows need: adapters in memory."""

from tailrace.testing.event_log import MemoryEventLog
from tailrace.testing.memory import MemoryJournal, MemoryStore
from tailrace.testing.queue import MemoryObjects, MemoryQueue, MemoryStates

__all__ = [
    "MemoryEventLog",
    "MemoryJournal",
    "MemoryObjects",
    "MemoryQueue",
    "MemoryStates",
    "MemoryStore",
]
