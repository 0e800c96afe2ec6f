"""Field expressions: what stands in ``{ … }``, ``by(…)`` and aggregates.

From loose to tight: ``&& ||``, comparisons, ``+ -`` and the sign, ``!``, ``* / %``, ``^``
(from the right; all others from the left).
"""

from __future__ import annotations

from collections.abc import Callable

from tailrace.traceql.cursor import Cursor
from tailrace.traceql.fault import Fault
from tailrace.traceql.limits import MAX_INT, MIN_INT
from tailrace.traceql.names import KINDS, NIL, SCOPED, STATUSES, UNSCOPED
from tailrace.traceql.tokens import Kind, Token
from tailrace.traceql.tree import (
    Attribute,
    Binary,
    BinaryOp,
    Expr,
    Field,
    Intrinsic,
    Literal,
    Type,
    Unary,
    UnaryOp,
)

BOOLEAN, COMPARISON, SUM, NOT, PRODUCT, POWER, ATOM = range(1, 8)
LEVELS = (
    dict.fromkeys(("&&", "||"), BOOLEAN)
    | dict.fromkeys(("=", "!=", "<", "<=", ">", ">=", "=~", "!~"), COMPARISON)
    | dict.fromkeys(("+", "-"), SUM)
    | dict.fromkeys(("*", "/", "%"), PRODUCT)
    | {"^": POWER}
)
WORDS: dict[str, Callable[[Token], Expr]] = {
    **{
        name: lambda token, found=found: Intrinsic(found, place=token.place)  # type: ignore[misc]
        for name, found in UNSCOPED.items()
    },
    **dict.fromkeys(STATUSES, lambda token: Literal(Type.STATUS, token.text, place=token.place)),
    **dict.fromkeys(KINDS, lambda token: Literal(Type.KIND, token.text, place=token.place)),
    "true": lambda token: Literal(Type.BOOL, value=True, place=token.place),
    "false": lambda token: Literal(Type.BOOL, value=False, place=token.place),
    "minInt": lambda token: Literal(Type.INT, MIN_INT, place=token.place),
    "maxInt": lambda token: Literal(Type.INT, MAX_INT, place=token.place),
}
_OPERAND = ("an attribute such as .name", "an intrinsic such as duration", "a value", "'('")


def parse_expression(cursor: Cursor, minimum: int = BOOLEAN) -> Expr:
    """Return the expression that stands here, of operators that bind at least as ``minimum``.

    Raises:
        Fault: none stands here.
    """
    left = _operand(cursor)
    while (level := _level(cursor.token)) >= minimum:
        operator = cursor.advance()
        op = BinaryOp(operator.text)
        right: Expr
        if _is_nil(cursor.token) and op in (BinaryOp.EQ, BinaryOp.NE):
            right = _nil(cursor)
        elif level == POWER:
            with cursor.nested():
                right = parse_expression(cursor, POWER)
        else:
            right = parse_expression(cursor, level + 1)
        left = Binary(op, left, right, place=operator.place)
    return left


def _level(token: Token) -> int:
    return LEVELS.get(token.text, 0) if token.kind is Kind.SYMBOL else 0


def _is_nil(token: Token) -> bool:
    return token.kind is Kind.NAME and token.text == NIL


def _nil(cursor: Cursor) -> Literal:
    return Literal(Type.NIL, None, place=cursor.advance().place)


def _operand(cursor: Cursor) -> Expr:
    token = cursor.token
    match token.kind:
        case Kind.ATTRIBUTE | Kind.LITERAL:
            operand: Attribute | Literal = cursor.advance().value
            return operand
        case Kind.SCOPE:
            return parse_scoped(cursor)
        case Kind.NAME:
            if token.text == NIL:
                return _nil_first(cursor)
            if token.text in WORDS:
                return WORDS[token.text](cursor.advance())
            return cursor.fail(_OPERAND, known=[*WORDS, NIL])
        case Kind.SYMBOL if token.text == "(":
            return _bracketed(cursor)
        case Kind.SYMBOL if token.text in "-!":
            return _prefixed(cursor)
        case _:
            return cursor.fail(_OPERAND)


def _nil_first(cursor: Cursor) -> Expr:
    left = _nil(cursor)
    if not (cursor.sees("=") or cursor.sees("!=")):
        raise Fault(
            "nil can only be compared, with '=' or '!='",
            left.place,
            code="TR217",
            hint="Write .name = nil, or .name != nil.",
            expected=("'='", "'!='"),
        )
    operator = cursor.advance()
    if _is_nil(cursor.token):
        right: Expr = _nil(cursor)
    else:
        right = parse_expression(cursor, COMPARISON + 1)
    return Binary(BinaryOp(operator.text), left, right, place=operator.place)


def _bracketed(cursor: Cursor) -> Expr:
    cursor.advance()
    with cursor.nested():
        inner = parse_expression(cursor)
    cursor.expect(")", after="the expression")
    return inner


def _prefixed(cursor: Cursor) -> Expr:
    token = cursor.advance()
    op = UnaryOp(token.text)
    with cursor.nested():
        # A sign reaches over products, and '!' over products but not over sums.
        operand = parse_expression(cursor, NOT if op is UnaryOp.NEGATE else PRODUCT)
    return Unary(op, operand, place=token.place)


def parse_scoped(cursor: Cursor) -> Intrinsic:
    """Return the intrinsic whose scope, such as ``span:``, stands here."""
    scope = cursor.advance()
    known = SCOPED[scope.text]
    name = known.get(cursor.token.text) if cursor.token.kind is Kind.NAME else None
    if name is None:
        return cursor.fail(
            [f"one of {', '.join(known)}"], after=f"'{scope.text}'", known=known, hint=""
        )
    end = cursor.advance().place.end
    return Intrinsic(name, place=scope.place._replace(end=end))


def parse_field(cursor: Cursor) -> Field:
    """Return the attribute or intrinsic that stands here.

    Raises:
        Fault: something else stands here.
    """
    token = cursor.token
    expected = ("an attribute such as .name", "an intrinsic such as duration")
    match token.kind:
        case Kind.ATTRIBUTE:
            attribute: Attribute = cursor.advance().value
            return attribute
        case Kind.SCOPE:
            return parse_scoped(cursor)
        case Kind.NAME if token.text in UNSCOPED:
            cursor.advance()
            return Intrinsic(UNSCOPED[token.text], place=token.place)
        case Kind.NAME:
            return cursor.fail(expected, known=UNSCOPED)
        case _:
            return cursor.fail(expected)


def parse_fields(cursor: Cursor) -> tuple[Field, ...]:
    """Return the fields of ``(field, …)``, at least one; the bracket stands here."""
    cursor.expect("(")
    fields = [parse_field(cursor)]
    while cursor.accept(","):
        fields.append(parse_field(cursor))
    cursor.expect(")", after="the fields")
    return tuple(fields)
