"""Values as written in a flow: literals, ``$…`` paths and ``{{ … }}`` templates, at any depth."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

from msgspec import Struct

from tailrace.errors import ExpressionError
from tailrace.flows.expressions.evaluate import Evaluator, evaluator
from tailrace.flows.expressions.evaluation import Evaluation
from tailrace.flows.expressions.expression import compiled, fail
from tailrace.flows.expressions.limits import MAX_NESTING, MAX_TEMPLATE, MAX_TEXT, too_much
from tailrace.flows.expressions.parse import parse, parse_braces, parse_selector
from tailrace.flows.expressions.references import references
from tailrace.flows.expressions.render import to_text
from tailrace.flows.expressions.roots import ROOTS
from tailrace.flows.expressions.tree import Tree
from tailrace.flows.expressions.unparse import unparse
from tailrace.model import Constant, Evaluated, Expression, Scope


def compile_value(raw: Any) -> Constant | Evaluated:
    """Return the source of a value as written.

    A text that is one ``$…`` path or one ``{{ … }}`` keeps the type of its value; templates in a
    longer text are written into it. Lists, tuples and mappings are searched; keys are left alone.
    ``$$`` at the start of a text stands for ``$``.

    Raises:
        ExpressionError: a path or a template cannot be parsed; ``column`` counts from the start
            of the text it stands in.
    """
    part = _part(raw, 0)
    return Evaluated(part.expression) if part.expression is not None else Constant(part.value)


class _Part(Struct, frozen=True):
    """A piece of a value: a constant, or an expression."""

    value: Any = None
    expression: Expression | None = None


def _part(raw: Any, depth: int) -> _Part:
    if depth > MAX_NESTING:
        raise too_much("the nesting of the value", MAX_NESTING, -1)
    if isinstance(raw, str):
        return _text_part(raw)
    if type(raw) in {list, tuple}:
        return _structure(type(raw), [_part(item, depth + 1) for item in raw])
    if type(raw) is dict:
        keys = tuple(raw)
        parts = [_part(item, depth + 1) for item in raw.values()]
        return _structure(lambda items: dict(zip(keys, items, strict=True)), parts, keys)
    return _Part(raw)


def _text_part(raw: str) -> _Part:
    if raw.startswith("$$"):
        return _template(raw, 1)
    if _is_selector(raw):
        return _Part(expression=compiled(_selector(raw)))
    return _template(raw, 0)


def _is_selector(raw: str) -> bool:
    """Return whether a text means a path: ``$``, a root, and then nothing or a key."""
    if not raw.startswith("$"):
        return False
    text = raw.strip()
    end = min((text.find(mark) for mark in ".[" if mark in text), default=len(text))
    return text[1:end] in ROOTS


def _selector(raw: str) -> Tree:
    tree = parse_selector(raw.strip())
    if tree is not None:
        return tree
    root = raw[1:].split(".", 1)[0].split("[", 1)[0]
    hint = "Put an expression into braces: {{ … }}; for plain text, write '$$' for the '$'."
    try:
        parse(raw)
    except ExpressionError as error:
        column = error.column
    else:
        column = len(root) + 1
    raise ExpressionError(
        f"{raw[:60]!r} starts as a path of {root!r}, but is not one",
        code="TR148",
        column=column,
        hint=hint,
    )


def _template(raw: str, start: int) -> _Part:
    """Return the part for a text; ``start`` skips the ``$`` that escapes another."""
    if "{{" not in raw:
        return _Part(raw[start:])
    if len(raw) > MAX_TEMPLATE:
        raise too_much("the length of the text", MAX_TEMPLATE, 0)
    pieces = list(_pieces(raw, start))
    solid = [piece for piece in pieces if not isinstance(piece, str) or piece.strip()]
    if len(solid) == 1 and not isinstance(solid[0], str) and _is_alone(pieces):
        return _Part(expression=compiled(solid[0][0]))
    return _Part(expression=TextTemplate(pieces))


def _is_alone(pieces: list[str | tuple[Tree, int]]) -> bool:
    """Return whether only spaces stand around the one template of a text."""
    return all(not piece.strip() for piece in pieces if isinstance(piece, str))


def _pieces(raw: str, start: int) -> Iterator[str | tuple[Tree, int]]:
    """Yield what stands between templates as text, and templates as a tree with its column."""
    position = start
    while (opening := raw.find("{{", position)) >= 0:
        if opening > position:
            yield raw[position:opening]
        tree, position = parse_braces(raw, opening + 2)
        yield tree, opening
    if position < len(raw):
        yield raw[position:]


class TextTemplate:
    """A text with templates in it; their values are written as text."""

    __slots__ = ("_parts", "references", "source")

    def __init__(self, pieces: list[str | tuple[Tree, int]]) -> None:
        trees = [piece[0] for piece in pieces if not isinstance(piece, str)]
        self.source = "".join(
            piece if isinstance(piece, str) else f"{{{{ {unparse(piece[0])} }}}}"
            for piece in pieces
        )
        self.references = tuple(dict.fromkeys(path for tree in trees for path in references(tree)))
        self._parts: list[str | tuple[Evaluator, int]] = [
            piece if isinstance(piece, str) else (evaluator(piece[0]), piece[1]) for piece in pieces
        ]

    def evaluate(self, scope: Scope) -> str:
        """Return the text; ExpressionError when a value is missing or has no form as text."""
        try:
            return self._written(Evaluation(scope))
        except Exception as error:  # noqa: BLE001 - values of users run code when read
            fail(error, self.source)

    def _written(self, run: Evaluation) -> str:
        written: list[str] = []
        length = 0
        for part in self._parts:
            if isinstance(part, str):
                text, column = part, 0
            else:
                value, column = part
                text = to_text(value(run), run, column)
            length += len(text)
            if length > MAX_TEXT:
                raise too_much("the length of the text", MAX_TEXT, column)
            written.append(text)
        return "".join(written)


class Structure:
    """A list, a tuple or a mapping that holds expressions; each evaluation gives a new one."""

    __slots__ = ("_build", "_parts", "references", "source")

    def __init__(
        self,
        build: Callable[[list[Any]], Any],
        parts: list[_Part],
        source: str,
    ) -> None:
        self.source = source
        self.references = tuple(
            dict.fromkeys(
                path
                for part in parts
                if part.expression is not None
                for path in part.expression.references
            )
        )
        self._build = build
        self._parts = parts

    def evaluate(self, scope: Scope) -> Any:
        """Return the structure with every value in its place; ExpressionError from any of them."""
        return self._build(
            [
                part.value if part.expression is None else part.expression.evaluate(scope)
                for part in self._parts
            ]
        )


def _structure(
    build: Callable[[list[Any]], Any], parts: list[_Part], keys: tuple[Any, ...] | None = None
) -> _Part:
    if all(part.expression is None for part in parts):
        return _Part(build([part.value for part in parts]))
    texts = [_shown(part) for part in parts]
    if keys is None:
        source = f"[{', '.join(texts)}]"
    else:
        pairs = zip(keys, texts, strict=True)
        source = f"{{{', '.join(f'{json.dumps(str(key))}: {text}' for key, text in pairs)}}}"
    return _Part(expression=Structure(build, parts, source))


def _shown(part: _Part) -> str:
    if part.expression is not None:
        return part.expression.source
    return json.dumps(part.value, ensure_ascii=False, default=repr)
