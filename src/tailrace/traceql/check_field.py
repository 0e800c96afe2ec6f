"""Field expressions checked: what compares with what, constants folded."""

from __future__ import annotations

from typing import assert_never

from tailrace.traceql.arithmetic import calculate
from tailrace.traceql.checked import (
    And,
    Calculation,
    Comparison,
    Exists,
    Matches,
    Negative,
    Not,
    Operand,
    Or,
    Regex,
)
from tailrace.traceql.fault import Fault
from tailrace.traceql.names import ID_DIGITS, INTRINSIC_TYPES
from tailrace.traceql.render import render_expression
from tailrace.traceql.tree import (
    ARITHMETIC,
    COMPARISONS,
    Attribute,
    Binary,
    BinaryOp,
    Expr,
    Intrinsic,
    IntrinsicName,
    Literal,
    Scope,
    Type,
    Unary,
    UnaryOp,
)

NUMERIC = frozenset({Type.INT, Type.FLOAT, Type.DURATION})
_PARENTS = (Scope.PARENT, Scope.PARENT_SPAN, Scope.PARENT_RESOURCE)
_EQUALITY = frozenset({BinaryOp.EQ, BinaryOp.NE})
_LOGIC = frozenset({BinaryOp.AND, BinaryOp.OR})
_REGEX = frozenset({BinaryOp.MATCH, BinaryOp.NOT_MATCH})
_NUMBERS = COMPARISONS | ARITHMETIC
_ALLOWED: dict[Type, frozenset[BinaryOp]] = {
    Type.NIL: _EQUALITY,
    Type.INT: _NUMBERS,
    Type.FLOAT: _NUMBERS,
    Type.DURATION: _NUMBERS,
    Type.STRING: COMPARISONS | _REGEX,
    Type.BOOL: _EQUALITY | _LOGIC,
    Type.STATUS: _EQUALITY,
    Type.KIND: _EQUALITY,
    Type.ATTRIBUTE: frozenset(BinaryOp),
}
_SERVICE_NAME = Attribute(Scope.RESOURCE, "service.name")


def check_expression(expr: Expr) -> tuple[Operand, Type]:
    """Return a field expression checked, and its type.

    Raises:
        Fault: types do not fit, or something is not supported.
    """
    match expr:
        case Literal():
            return expr, expr.type
        case Attribute() | Intrinsic():
            return expr, check_named(expr)
        case Unary(op, operand):
            inner, kind = check_expression(operand)
            return _unary(op, inner, kind, expr), kind
        case Binary(op, left, right):
            a, left_type = check_expression(left)
            b, right_type = check_expression(right)
            _check_types(expr, left_type, right_type)
            made = _binary(expr, a, b)
            if op not in ARITHMETIC:
                return made, Type.BOOL
            if isinstance(made, Literal):
                return made, made.type
            return made, right_type if left_type is Type.ATTRIBUTE else left_type
        case _:
            assert_never(expr)


def check_named(field: Attribute | Intrinsic) -> Type:
    """Return the type of an attribute or intrinsic.

    Raises:
        Fault: it asks for the parent, which is not supported.
    """
    asks_parent = (
        field.scope in _PARENTS
        if isinstance(field, Attribute)
        else field.name is IntrinsicName.PARENT
    )
    if asks_parent:
        hint = "Relate spans: { conditions of the parent } > { conditions of the child }."
        message = "fields of the parent are not supported"
        raise Fault(message, field.place, code="TR209", hint=hint)
    return Type.ATTRIBUTE if isinstance(field, Attribute) else INTRINSIC_TYPES[field.name]


def check_condition(expr: Expr) -> Operand:
    """Return a condition checked: boolean, or an attribute that may be.

    Raises:
        Fault: it is neither.
    """
    made, kind = check_expression(expr)
    if kind not in (Type.BOOL, Type.ATTRIBUTE):
        text = render_expression(expr)
        hint = f"Compare it: {text} = …." if len(text) < 40 else "Compare it with something."
        message = f"a condition must be true or false; this is {_named(kind)}"
        raise Fault(message, expr.place, code="TR204", hint=hint)
    return made


def refers_to_span(expr: Expr) -> bool:
    """Return whether an expression reads anything of a span."""
    match expr:
        case Literal():
            return False
        case Attribute() | Intrinsic():
            return True
        case Unary(_, operand):
            return refers_to_span(operand)
        case Binary(_, left, right):
            return refers_to_span(left) or refers_to_span(right)
        case _:
            assert_never(expr)


def _named(kind: Type) -> str:
    article = "an" if kind.value[0] in "ai" else "a"
    return kind.value if kind is Type.NIL else f"{article} {kind.value}"


def _unary(op: UnaryOp, operand: Operand, kind: Type, expr: Unary) -> Operand:
    wanted = NUMERIC if op is UnaryOp.NEGATE else {Type.BOOL}
    if kind is not Type.ATTRIBUTE and kind not in wanted:
        what = "a number or duration" if op is UnaryOp.NEGATE else "true or false"
        message = f"'{op}' needs {what}, not {_named(kind)}"
        hint = "Put the comparison in brackets: !(a = b)." if op is UnaryOp.NOT else ""
        raise Fault(message, expr.place, code="TR204", hint=hint)
    if op is UnaryOp.NOT:
        if isinstance(operand, Literal):
            return Literal(Type.BOOL, not operand.value)
        return Not(operand)
    if isinstance(operand, Literal):
        zero = Literal(operand.type if operand.type is Type.FLOAT else Type.INT, 0)
        made = calculate(BinaryOp.SUB, zero, operand, expr.place)
        return Literal(operand.type, made.value)
    return Negative(operand)


def _check_types(expr: Binary, left: Type, right: Type) -> None:
    open_types = (Type.ATTRIBUTE, Type.NIL)
    fits = left is right or (left in NUMERIC and right in NUMERIC)
    if not fits and left not in open_types and right not in open_types:
        message = f"'{expr.op}' cannot stand between {_named(left)} and {_named(right)}"
        raise Fault(message, expr.place, code="TR204", hint=_mend(left, right))
    for kind in (left, right):
        if expr.op not in _ALLOWED[kind]:
            raise Fault(f"'{expr.op}' is not for {_named(kind)}", expr.place, code="TR204")


def _mend(left: Type, right: Type) -> str:
    kinds = {left, right}
    if kinds == {Type.STATUS, Type.STRING}:
        return "Write a status without quotes: ok, error, unset."
    if kinds == {Type.KIND, Type.STRING}:
        return "Write a kind without quotes, such as server."
    if kinds == {Type.DURATION, Type.STRING}:
        return "Write a duration without quotes, such as 100ms."
    return ""


def _binary(expr: Binary, left: Operand, right: Operand) -> Operand:
    op = expr.op
    for side, other in ((left, expr.right), (right, expr.left)):
        if isinstance(side, Literal) and side.type is Type.NIL:
            return _exists(expr, other, right if side is left else left)
    if op in _REGEX:
        return _matches(expr, left, right)
    if isinstance(left, Literal) and isinstance(right, Literal):
        return _folded(expr, left, right)
    if op is BinaryOp.AND:
        return And(left, right)
    if op is BinaryOp.OR:
        return Or(left, right)
    if op in ARITHMETIC:
        return Calculation(op, left, right)
    return Comparison(op, _stored_id(left, right), _stored_id(right, left))


def _exists(expr: Binary, written: Expr, operand: Operand) -> Operand:
    absent = expr.op is BinaryOp.EQ
    if isinstance(operand, Literal):
        return Literal(Type.BOOL, operand.type is not Type.NIL and not absent)
    if absent and (isinstance(written, Intrinsic) or written == _SERVICE_NAME):
        message = f"{render_expression(written)} is never missing"
        raise Fault(message, expr.place, code="TR217", hint="Remove the comparison with nil.")
    return Exists(operand, absent)


def _matches(expr: Binary, left: Operand, right: Operand) -> Operand:
    if not (isinstance(right, Literal) and right.type is Type.STRING):
        message = f"'{expr.op}' needs a text in quotes on its right side"
        raise Fault(message, expr.place, code="TR205", hint='Write .name =~ "a.*".')
    regex = _regex(right)
    negated = expr.op is BinaryOp.NOT_MATCH
    if isinstance(left, Literal):
        import re  # noqa: PLC0415 - a constant at both sides is rare

        found = re.fullmatch(regex.python, str(left.value)) is not None
        return Literal(Type.BOOL, found != negated)
    return Matches(left, regex, negated)


def _regex(literal: Literal) -> Regex:
    from tailrace.traceql.regex import BadRegex, compile_regex  # noqa: PLC0415 - only where one is

    try:
        return compile_regex(str(literal.value))
    except BadRegex as error:
        hint = "Regular expressions are RE2's; they match the whole text."
        if "RE2" in str(error):
            hint = 'Write it without; a second condition often does: .a =~ "x.*" && .a !~ "y".'
        message = f"bad regular expression: {error}, at its character {error.at + 1}"
        raise Fault(message, literal.place, code="TR205", hint=hint) from error


def _folded(expr: Binary, left: Literal, right: Literal) -> Literal:
    if expr.op in ARITHMETIC:
        return calculate(expr.op, left, right, expr.place)
    a, b = left.value, right.value
    match expr.op:
        case BinaryOp.EQ:
            result = a == b
        case BinaryOp.NE:
            result = a != b
        case BinaryOp.AND:
            result = bool(a) and bool(b)
        case BinaryOp.OR:
            result = bool(a) or bool(b)
        case _:
            result = _ordered(expr.op, a, b)
    return Literal(Type.BOOL, result)


def _ordered(op: BinaryOp, a: object, b: object) -> bool:
    if isinstance(a, str) and isinstance(b, str):
        # Code points order texts as their bytes do.
        low, equal = a < b, a == b
    else:
        assert isinstance(a, int | float)  # noqa: S101 - the types were checked
        assert isinstance(b, int | float)  # noqa: S101 - likewise
        low, equal = a < b, a == b
    match op:
        case BinaryOp.LT:
            return low
        case BinaryOp.LE:
            return low or equal
        case BinaryOp.GT:
            return not (low or equal)
        case _:
            return not low


def _stored_id(side: Operand, other: Operand) -> Operand:
    """Return an id as it is stored: lower case, all digits. Leading zeros may be left out."""
    if not (isinstance(side, Literal) and isinstance(other, Intrinsic)):
        return side
    digits = ID_DIGITS.get(other.name)
    text = str(side.value).lower()
    if digits is None or side.type is not Type.STRING or not set(text) <= set("0123456789abcdef"):
        return side
    stripped = text.lstrip("0")
    stored = stripped.zfill(digits) if text and len(stripped) <= digits else text
    return Literal(Type.STRING, stored, place=side.place)
