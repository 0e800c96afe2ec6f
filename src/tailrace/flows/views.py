"""Views of a flow: tree, Mermaid, Graphviz, JSON, HTML."""

from __future__ import annotations

from collections.abc import Iterator

from tailrace.flows.document import document
from tailrace.flows.drawing import Box, Frame, draw
from tailrace.flows.outline import Item, outline
from tailrace.model import Flow

__all__ = ["document", "dot", "html", "json_text", "mermaid", "tree"]


def tree(flow: Flow, *, ascii_only: bool = False) -> str:
    """Return the flow as a tree of text; control characters are shown as escapes."""
    marks = ("|-- ", "`-- ", "|   ", "    ") if ascii_only else ("├── ", "└── ", "│   ", "    ")
    whole = outline(flow)
    lines = [_line(whole, ascii_only=ascii_only)]
    stack = _pushed(whole, "")
    while stack:
        item, margin, is_last = stack.pop()
        lines.append(margin + marks[is_last] + _line(item, ascii_only=ascii_only))
        stack += _pushed(item, margin + marks[2 + is_last])
    return "\n".join(lines)


def _pushed(item: Item, margin: str) -> list[tuple[Item, str, bool]]:
    """Return the children, the first one on top, each with the margin before it."""
    last = len(item.children) - 1
    return [(child, margin, at == last) for at, child in enumerate(item.children)][::-1]


def _line(item: Item, *, ascii_only: bool) -> str:
    text = "  ".join(filter(None, (item.name, item.detail)))
    return "".join(
        sign if sign.isprintable() and not (ascii_only and sign > "~") else ascii(sign)[1:-1]
        for sign in text
    )


_MERMAID = {"task": '["{}"]', "choice": '{{"{}"}}', "flow": '[["{}"]]', "handler": '(["{}"])'}


def mermaid(flow: Flow) -> str:
    """Return the flow as a Mermaid flowchart; labels are escaped."""
    drawing = draw(flow)
    lines = ["flowchart TD"]
    for depth, shape in _walk(drawing.shapes):
        margin = "  " * (depth + 1)
        if shape is None:
            lines.append(f"{margin}end")
        elif isinstance(shape, Frame):
            lines.append(f'{margin}subgraph {shape.id}["{_mermaid_text(shape.label)}"]')
        else:
            label = _MERMAID[shape.shape].format(_mermaid_text(shape.label))
            lines.append(f"{margin}{shape.id}{label}")
    for arrow in drawing.arrows:
        line = "-.->" if arrow.is_back else "-->"
        label = f'|"{_mermaid_text(arrow.label)}"|' if arrow.label else ""
        lines.append(f"  {arrow.source} {line}{label} {arrow.target}")
    return "\n".join(lines)


def _mermaid_text(text: str) -> str:
    """Return a label in which nothing has a meaning of its own."""
    return "<br>".join(
        "".join(sign if sign.isalnum() or sign in " _.,:-" else f"#{ord(sign)};" for sign in line)
        for line in text.split("\n")
    )


_DOT = {
    "task": "box, style=rounded",
    "choice": "diamond",
    "flow": "box, peripheries=2",
    "handler": "box, style=dashed",
}


def dot(flow: Flow) -> str:
    """Return the flow as a Graphviz digraph; labels are escaped."""
    drawing = draw(flow)
    lines = [f"digraph {_dot_text(drawing.name)} {{", '  node [fontname="sans-serif"];']
    for depth, shape in _walk(drawing.shapes):
        margin = "  " * (depth + 1)
        if shape is None:
            lines.append(f"{margin}}}")
        elif isinstance(shape, Frame):
            lines.append(f"{margin}subgraph cluster_{shape.id} {{")
            lines.append(f"{margin}  label={_dot_text(shape.label)};")
        else:
            label = _dot_text(shape.label)
            lines.append(f"{margin}{shape.id} [label={label}, shape={_DOT[shape.shape]}];")
    for arrow in drawing.arrows:
        traits = [f"label={_dot_text(arrow.label)}"] if arrow.label else []
        traits += ["style=dashed", "constraint=false"] if arrow.is_back else []
        suffix = f" [{', '.join(traits)}]" if traits else ""
        lines.append(f"  {arrow.source} -> {arrow.target}{suffix};")
    return "\n".join([*lines, "}"])


def _dot_text(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


def _walk(shapes: tuple[Box | Frame, ...]) -> Iterator[tuple[int, Box | Frame | None]]:
    """Yield shapes with their depth, those in a frame behind it; None closes the frame."""
    stack: list[tuple[int, Box | Frame | None]] = [(0, shape) for shape in reversed(shapes)]
    while stack:
        depth, shape = stack.pop()
        yield depth, shape
        if isinstance(shape, Frame):
            stack.append((depth, None))
            stack.extend((depth + 1, inner) for inner in reversed(shape.inside))


def json_text(flow: Flow) -> str:
    """Return the flow as JSON: name, definition hash, defaults, policy, and the tree of nodes."""
    import json  # noqa: PLC0415 - one view of several

    return json.dumps(document(flow), indent=2, ensure_ascii=False, default=repr)


_STYLE = (
    "font-family:sans-serif;font-size:13px;line-height:1.7;"
    "border-left:2px solid #8ab;padding-left:.8em"
)


def html(flow: Flow) -> str:
    """Return the flow as nested HTML lists for notebooks: no scripts, no files, all escaped."""
    from html import escape  # noqa: PLC0415 - one view of several

    whole = outline(flow)
    parts = [f'<div style="{_STYLE}"><strong>{escape(whole.name)}</strong>']
    stack: list[Item | str] = ["</div>", whole]
    while stack:
        step = stack.pop()
        if isinstance(step, str):
            parts.append(step)
            continue
        if step is not whole:
            parts.append(f"<li><code>{escape(step.name or step.kind)}</code> ")
            parts.append(f'<span style="color:#777">{escape(step.detail)}</span>')
            stack.append("</li>")
        if step.children:
            parts.append('<ul style="margin:0">')
            stack.append("</ul>")
            stack.extend(reversed(step.children))
    return "".join(parts)
