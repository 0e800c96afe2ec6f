"""Sealed traces: columns of many traces in one segment, which queries are evaluated over."""
