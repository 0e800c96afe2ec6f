"""TraceQL: text, tokens, tree, checked tree. It knows no database.

``parse`` reads a query, ``check`` says what it means or why it means nothing, ``render`` writes it.
"""

from tailrace.traceql.check import check
from tailrace.traceql.checked import CheckedQuery
from tailrace.traceql.document import to_document
from tailrace.traceql.parse import parse
from tailrace.traceql.render import render
from tailrace.traceql.tree import Dialect, Query

__all__ = ["CheckedQuery", "Dialect", "Query", "check", "parse", "render", "to_document"]
