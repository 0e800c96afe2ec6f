"""Older programs, moved over by changing an import."""
