"""The tree of a query that means something: what later passes match, closed by ``assert_never``.

Constants are folded, ``nil`` and regular expressions have nodes of their own, operators between
spansets are taken apart, ids are written as they are stored. Leaves are those of ``tree``.
"""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct

from tailrace.traceql.tree import (
    AggregateName,
    Attribute,
    BinaryOp,
    Field,
    Intrinsic,
    Literal,
    MeasureName,
    Query,
    RankName,
)


class Regex(Struct, frozen=True):
    """A regular expression that matches whole texts; a dot matches a line feed, too."""

    pattern: str
    """As it was written."""
    python: str
    """The same for ``re.fullmatch``, without flags."""
    nested: bool
    """Whether a repetition without end stands in another; Python may then take very long."""


class Calculation(Struct, frozen=True):
    """``left op right`` of numbers; integers stay integers, durations are nanoseconds."""

    op: BinaryOp
    left: Operand
    right: Operand


class Negative(Struct, frozen=True):
    """``-operand``."""

    operand: Operand


class Comparison(Struct, frozen=True):
    """``left op right`` with one of ``= != < <= > >=``; false where a side is missing."""

    op: BinaryOp
    left: Operand
    right: Operand


class Matches(Struct, frozen=True):
    """``operand =~ regex``, or ``!~`` where negated; false where the operand is missing."""

    operand: Operand
    regex: Regex
    negated: bool


class Exists(Struct, frozen=True):
    """``operand != nil``, or ``= nil`` where negated."""

    operand: Operand
    negated: bool


class Not(Struct, frozen=True):
    """``!operand``."""

    operand: Operand


class And(Struct, frozen=True):
    """Both hold."""

    left: Operand
    right: Operand


class Or(Struct, frozen=True):
    """One of them holds."""

    left: Operand
    right: Operand


Operand = (
    Literal
    | Attribute
    | Intrinsic
    | Calculation
    | Negative
    | Comparison
    | Matches
    | Exists
    | Not
    | And
    | Or
)
"""A checked field expression; as a condition it is boolean, or an attribute that should be."""


class Relation(StrEnum):
    """How a span of the right side stands to one of the left: ``A > B`` gives B, CHILD of A."""

    CHILD = "child"
    DESCENDANT = "descendant"
    PARENT = "parent"
    ANCESTOR = "ancestor"
    SIBLING = "sibling"


class Side(StrEnum):
    """Which spans a relation returns."""

    RIGHT = "right"
    """Those of the right side that stand in the relation to one of the left."""
    UNRELATED = "unrelated"
    """Those of the right side that do not."""
    BOTH = "both"
    """Those of both sides that take part."""


class Keep(Struct, frozen=True):
    """The spans for which the condition holds."""

    condition: Operand


class Together(Struct, frozen=True):
    """The spans of both sides where neither is empty."""

    left: Spans
    right: Spans


class Either(Struct, frozen=True):
    """The spans of both sides."""

    left: Spans
    right: Spans


class Related(Struct, frozen=True):
    """The spans of two sides that stand, or do not stand, in a relation."""

    relation: Relation
    side: Side
    left: Spans
    right: Spans


class Bound(Struct, frozen=True):
    """``function(operand) op value``: keeps a spanset, and adds the value to it as ``label``."""

    function: AggregateName
    operand: Operand | None
    op: BinaryOp
    value: Literal
    label: str


class Group(Struct, frozen=True):
    """One spanset per value of the operand, which is added to it as ``label``."""

    operand: Operand
    label: str


class Merge(Struct, frozen=True):
    """One spanset of all."""


class Show(Struct, frozen=True):
    """Fields to return with the spans."""

    fields: tuple[Field, ...]


class Chain(Struct, frozen=True):
    """Stages from first to last."""

    stages: tuple[Step, ...]


Spans = Keep | Together | Either | Related | Chain
"""What gives spans. A Chain at a side stood in brackets."""
Step = Keep | Together | Either | Related | Chain | Bound | Group | Merge | Show


class Rate(Struct, frozen=True):
    """A function over the spans of each step; ``operand`` is None for rate and count."""

    function: MeasureName
    operand: Field | None
    quantiles: tuple[float, ...]
    by: tuple[Field, ...]


class Contrast(Struct, frozen=True):
    """``compare()``: the spans of the selection against all others; instants are Unix ns."""

    selection: Operand
    top: int
    """Values of an attribute that are told."""
    start: int | None
    end: int | None


class First(Struct, frozen=True):
    """``topk(count)``, ``bottomk(count)``, at each point."""

    function: RankName
    count: int


class Points(Struct, frozen=True):
    """The points for which ``op value`` holds. A duration is seconds here."""

    op: BinaryOp
    value: float


class Series(Struct, frozen=True):
    """What a metrics function gives for the spans of a chain."""

    chain: Chain
    function: Rate | Contrast
    seconds: tuple[First | Points, ...]


class Constant(Struct, frozen=True):
    """A number in arithmetic between metrics."""

    value: int | float


class SeriesMath(Struct, frozen=True):
    """``left op right``, point by point, of series with the same labels."""

    op: BinaryOp
    left: SeriesTree
    right: SeriesTree


SeriesTree = Series | SeriesMath | Constant


class SeriesResult(Struct, frozen=True):
    """Arithmetic between metrics and what is kept of its result."""

    math: SeriesMath
    seconds: tuple[First | Points, ...]


Plan = Chain | Series | SeriesResult


class CheckedQuery(Struct, frozen=True):
    """A query that can be answered."""

    plan: Plan
    hints: tuple[tuple[str, bool | int | float | str], ...]
    """Those that are known, with their values; the last ``with(…)`` counts."""
    ignored_hints: tuple[str, ...]
    source: Query

    @property
    def is_metrics(self) -> bool:
        """Whether it gives series rather than traces."""
        return not isinstance(self.plan, Chain)
