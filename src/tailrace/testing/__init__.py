"""What tests of flows need: adapters in memory."""

from tailrace.testing.memory import MemoryJournal, MemoryStore

__all__ = ["MemoryJournal", "MemoryStore"]
