"""The tree of a query as it was written: frozen data, compared without places.

Every pass over it is one ``match`` closed by ``assert_never``.
"""

from __future__ import annotations

from enum import Enum, StrEnum

from msgspec import Struct

from tailrace.traceql.fault import NOWHERE, Place


class Type(Enum):
    """What a value is. ATTRIBUTE: known only when it is read."""

    NIL = "nil"
    INT = "integer"
    FLOAT = "float"
    STRING = "string"
    BOOL = "boolean"
    DURATION = "duration"
    STATUS = "status"
    KIND = "kind"
    ATTRIBUTE = "attribute"


class Scope(StrEnum):
    """Where an attribute is looked for; the value is what stands before its name."""

    ANY = "."
    """On the span, then on its resource."""
    SPAN = "span."
    RESOURCE = "resource."
    EVENT = "event."
    LINK = "link."
    INSTRUMENTATION = "instrumentation."
    PARENT = "parent."
    PARENT_SPAN = "parent.span."
    PARENT_RESOURCE = "parent.resource."


class IntrinsicName(StrEnum):
    """What every span has; the value is the canonical name."""

    DURATION = "duration"
    NAME = "name"
    STATUS = "status"
    STATUS_MESSAGE = "statusMessage"
    KIND = "kind"
    PARENT = "parent"
    ROOT_NAME = "rootName"
    ROOT_SERVICE_NAME = "rootServiceName"
    TRACE_DURATION = "traceDuration"
    NESTED_SET_LEFT = "nestedSetLeft"
    NESTED_SET_RIGHT = "nestedSetRight"
    NESTED_SET_PARENT = "nestedSetParent"
    TRACE_ID = "trace:id"
    SPAN_ID = "span:id"
    SPAN_PARENT_ID = "span:parentID"
    SPAN_CHILD_COUNT = "span:childCount"
    EVENT_NAME = "event:name"
    EVENT_TIME_SINCE_START = "event:timeSinceStart"
    LINK_TRACE_ID = "link:traceID"
    LINK_SPAN_ID = "link:spanID"
    INSTRUMENTATION_NAME = "instrumentation:name"
    INSTRUMENTATION_VERSION = "instrumentation:version"


class UnaryOp(StrEnum):
    """A prefix operator."""

    NEGATE = "-"
    NOT = "!"


class BinaryOp(StrEnum):
    """An operator between two field expressions or two scalars."""

    AND = "&&"
    OR = "||"
    EQ = "="
    NE = "!="
    LT = "<"
    LE = "<="
    GT = ">"
    GE = ">="
    MATCH = "=~"
    NOT_MATCH = "!~"
    ADD = "+"
    SUB = "-"
    MUL = "*"
    DIV = "/"
    MOD = "%"
    POW = "^"


COMPARISONS = frozenset(
    {BinaryOp.EQ, BinaryOp.NE, BinaryOp.LT, BinaryOp.LE, BinaryOp.GT, BinaryOp.GE}
)
ARITHMETIC = frozenset(
    {BinaryOp.ADD, BinaryOp.SUB, BinaryOp.MUL, BinaryOp.DIV, BinaryOp.MOD, BinaryOp.POW}
)


class SpansetOp(StrEnum):
    """An operator between two spansets. ``!`` negates a relation, ``&`` returns both sides."""

    AND = "&&"
    OR = "||"
    CHILD = ">"
    DESCENDANT = ">>"
    PARENT = "<"
    ANCESTOR = "<<"
    SIBLING = "~"
    NOT_CHILD = "!>"
    NOT_DESCENDANT = "!>>"
    NOT_PARENT = "!<"
    NOT_ANCESTOR = "!<<"
    NOT_SIBLING = "!~"
    UNION_CHILD = "&>"
    UNION_DESCENDANT = "&>>"
    UNION_PARENT = "&<"
    UNION_ANCESTOR = "&<<"
    UNION_SIBLING = "&~"


class AggregateName(StrEnum):
    """A function over the spans of one spanset."""

    COUNT = "count"
    MIN = "min"
    MAX = "max"
    AVG = "avg"
    SUM = "sum"


class MeasureName(StrEnum):
    """A function over the spans of one step of time."""

    RATE = "rate"
    COUNT = "count_over_time"
    MIN = "min_over_time"
    MAX = "max_over_time"
    AVG = "avg_over_time"
    SUM = "sum_over_time"
    QUANTILE = "quantile_over_time"
    HISTOGRAM = "histogram_over_time"


class RankName(StrEnum):
    """Which series are kept at each point."""

    TOP = "topk"
    BOTTOM = "bottomk"


class Dialect(StrEnum):
    """In which language a query was written."""

    TRACEQL = "traceql"
    SHORT = "short form"


class Node(Struct, frozen=True, kw_only=True, repr_omit_defaults=True):
    """Anything of a tree. The place is not part of what it means."""

    place: Place = NOWHERE


Value = None | bool | int | float | str


class Literal(Node, frozen=True):
    """A value. A duration is nanoseconds; a status or kind is its name; nil is None."""

    type: Type
    value: Value


class Attribute(Node, frozen=True):
    """``scope.name``."""

    scope: Scope
    name: str


class Intrinsic(Node, frozen=True):
    """What every span has, such as ``duration`` or ``span:id``."""

    name: IntrinsicName


class Unary(Node, frozen=True):
    """``-operand``, ``!operand``."""

    op: UnaryOp
    operand: Expr


class Binary(Node, frozen=True):
    """``left op right``. Its place is the operator's."""

    op: BinaryOp
    left: Expr
    right: Expr


Field = Attribute | Intrinsic
Expr = Literal | Attribute | Intrinsic | Unary | Binary


class Filter(Node, frozen=True):
    """``{ condition }``; None keeps every span."""

    condition: Expr | None = None


class SpansetOperation(Node, frozen=True):
    """``left op right``."""

    op: SpansetOp
    left: Spanset
    right: Spanset


Spanset = Filter | SpansetOperation


class Aggregate(Node, frozen=True):
    """``count()``, ``avg(operand)`` …; only ``count`` has no operand."""

    function: AggregateName
    operand: Expr | None = None


class ScalarOperation(Node, frozen=True):
    """``left op right``, of which at least one side holds an aggregate."""

    op: BinaryOp
    left: Scalar
    right: Scalar


Scalar = Aggregate | Literal | ScalarOperation


class ScalarFilter(Node, frozen=True):
    """``count() > 3``; at least one side holds an aggregate."""

    op: BinaryOp
    left: Scalar
    right: Scalar


class By(Node, frozen=True):
    """``by(operand)``."""

    operand: Expr


class Coalesce(Node, frozen=True):
    """``coalesce()``."""


class Select(Node, frozen=True):
    """``select(field, …)``."""

    fields: tuple[Field, ...]


Stage = Filter | SpansetOperation | ScalarFilter | By | Coalesce | Select


class Pipeline(Node, frozen=True):
    """``stage | stage …``; at least one."""

    stages: tuple[Stage, ...]


class PipelineOperation(Node, frozen=True):
    """``(pipeline) op (pipeline)``."""

    op: SpansetOp
    left: PipelineTree
    right: PipelineTree


PipelineTree = Pipeline | PipelineOperation


class ScalarPipeline(Node, frozen=True):
    """``(pipeline | aggregate)``."""

    pipeline: Pipeline
    aggregate: Aggregate


class ScalarPipelineOperation(Node, frozen=True):
    """``(pipeline | count()) + (pipeline | count())``."""

    op: BinaryOp
    left: ScalarPipelineTree
    right: ScalarPipelineTree


ScalarPipelineTree = ScalarPipeline | ScalarPipelineOperation


class ScalarPipelineFilter(Node, frozen=True):
    """``(pipeline | count()) > 3``."""

    op: BinaryOp
    left: ScalarPipelineTree
    right: ScalarPipelineTree | Literal


class Measure(Node, frozen=True):
    """``rate() by(field, …)``, ``quantile_over_time(operand, 0.9, …) by(field, …)``."""

    function: MeasureName
    operand: Field | None = None
    quantiles: tuple[Literal, ...] = ()
    by: tuple[Field, ...] = ()


class Compare(Node, frozen=True):
    """``compare({…}, top, start, end)``; instants are ns since the epoch."""

    selection: Filter
    top: Literal | None = None
    start: Literal | None = None
    end: Literal | None = None


class Rank(Node, frozen=True):
    """``topk(count)``, ``bottomk(count)``."""

    function: RankName
    count: Literal


class Threshold(Node, frozen=True):
    """``op value`` over the points of metrics."""

    op: BinaryOp
    value: Literal


Second = Rank | Threshold


class Metrics(Node, frozen=True):
    """``pipeline | function seconds``."""

    pipeline: Pipeline
    function: Measure | Compare
    seconds: tuple[Second, ...] = ()


class MetricsOperation(Node, frozen=True):
    """``(metrics) op (metrics)``; one side may be a number."""

    op: BinaryOp
    left: MetricsTree
    right: MetricsTree


MetricsTree = Metrics | MetricsOperation | Literal


class MetricsExpression(Node, frozen=True):
    """``metrics op metrics seconds``."""

    operation: MetricsOperation
    seconds: tuple[Second, ...] = ()


Body = Pipeline | PipelineOperation | ScalarPipelineFilter | Metrics | MetricsExpression


class Hint(Node, frozen=True):
    """``name=value`` in ``with(…)``."""

    name: str
    value: Literal


class Query(Struct, frozen=True, eq=False):
    """A whole query; its text is not part of what it means."""

    body: Body
    hints: tuple[Hint, ...] = ()
    dialect: Dialect = Dialect.TRACEQL
    columns: tuple[str, ...] = ()
    """What ``pick(…)`` of the short form names; empty: as the command shows them."""
    limit: int | None = None
    """What ``limit N`` of the short form asks for."""
    text: str = ""
    """What was read; places are offsets in it."""

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Query):
            return NotImplemented
        return self._meaning == other._meaning

    def __hash__(self) -> int:
        return hash(self._meaning)

    @property
    def _meaning(self) -> tuple[object, ...]:
        return self.body, self.hints, self.dialect, self.columns, self.limit
