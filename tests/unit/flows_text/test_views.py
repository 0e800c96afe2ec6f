import json
import re
from collections.abc import Callable
from html.parser import HTMLParser

import pytest

from tailrace.flows import views
from tailrace.flows.build import build_flow
from tailrace.flows.loaded import LoadedFlow
from tailrace.model import Case, Flow, Repeat, Seq, SubFlow, Switch, TaskNode, TaskSpec

Read = Callable[..., LoadedFlow]

GRAPH = """\
a >> (b & c >> d)
>> switch(on=mode){ fast: e; {{ n }}: f; default: (g | h) }
>> foreach(over=items, item=it, concurrency=2){ i: a }"""


@pytest.fixture
def flow(read_graph: Read) -> Flow:
    found = read_graph(GRAPH).flow
    assert found is not None
    return found


def test_the_tree_shows_every_node_and_block(flow: Flow) -> None:
    lines = views.tree(flow).split("\n")
    assert lines == [
        "flow",
        "├── a  flows_text_tasks:check",
        "├── all  all of",
        "│   ├── b  flows_text_tasks:check",
        "│   └── one after the other",
        "│       ├── c  flows_text_tasks:check",
        "│       └── d  flows_text_tasks:check",
        "├── switch  switch on params.mode",
        "│   ├── case fast",
        "│   │   └── e  flows_text_tasks:check",
        "│   ├── case {{ params.n }}",
        "│   │   └── f  flows_text_tasks:check",
        "│   └── default",
        "│       └── any  first success of",
        "│           ├── g  flows_text_tasks:check",
        "│           └── h  flows_text_tasks:check",
        "└── foreach  for each as it of params.items, 2 at a time",
        "    └── i  flows_text_tasks:check",
    ]


def test_the_tree_can_do_with_ascii(flow: Flow) -> None:
    text = views.tree(flow, ascii_only=True)
    assert text.isascii()
    assert len(text.split("\n")) == len(views.tree(flow).split("\n"))


def arrows(text: str, sign: str) -> set[tuple[str, str]]:
    return {
        (found[1], found[2]) for found in re.finditer(rf'(\w+) {sign}(?:\|"[^"]*"\|)? (\w+)', text)
    }


def test_mermaid_and_dot_draw_the_same_arrows(flow: Flow) -> None:
    mermaid, dot = views.mermaid(flow), views.dot(flow)
    boxes = dict(re.findall(r'(\w+)[\[{(]+"([^"<]+)', mermaid))
    drawn = {(boxes[left], boxes[right]) for left, right in arrows(mermaid, "(?:-->|-.->)")}
    assert drawn == {
        ("a", "b"), ("a", "c"), ("c", "d"), ("b", "switch"), ("d", "switch"), ("switch", "e"),
        ("switch", "f"), ("switch", "g"), ("switch", "h"), ("e", "i"), ("f", "i"), ("g", "i"),
        ("h", "i"), ("i", "i"),
    }  # fmt: skip
    assert arrows(dot, "->") == arrows(mermaid, "(?:-->|-.->)")
    assert dot.count("{") == dot.count("}") + dot.count("{{") - dot.count("}}")
    assert mermaid.count("subgraph") == len(re.findall(r"^ *end$", mermaid, re.MULTILINE))


NASTY = 'x"]; --> \\ <script>alert(1)</script> & #35; \x1b[31m\u202e {{'


def nasty_flow() -> Flow:
    spec = TaskSpec(name="t", function=print, reference=NASTY)
    root = Seq(
        children=(
            TaskNode(name=NASTY, task=spec),
            Switch(
                name="s", on=NASTY, cases=(Case(key=NASTY, body=TaskNode(name="b", task=spec)),)
            ),
            Repeat(name=NASTY + "2", count=NASTY, body=TaskNode(name="c", task=spec)),
        )
    )
    return build_flow(name=NASTY, root=root)


def test_no_label_breaks_out_of_mermaid() -> None:
    text = views.mermaid(nasty_flow())
    for label in re.findall(r'"([^"]*)"', text):
        assert re.fullmatch(r"(?:[\w _.,:-]|#\d+;|<br>)*", label)
    assert text.count('"') % 2 == 0
    assert "<script" not in text


def test_no_label_breaks_out_of_dot() -> None:
    text = views.dot(nasty_flow())
    outside = re.sub(r'"(?:[^"\\]|\\.)*"', "", text)
    assert '"' not in outside
    assert "script" not in outside


def test_no_label_breaks_out_of_html() -> None:
    class Tags(HTMLParser):
        seen: set[str] = set()  # noqa: RUF012 - one parser

        def handle_starttag(self, tag: str, attrs: object) -> None:  # noqa: ARG002 - its signature
            self.seen.add(tag)

    parser = Tags()
    parser.feed(views.html(nasty_flow()))
    assert parser.seen <= {"div", "strong", "ul", "li", "code", "span"}


def test_the_tree_shows_control_characters_as_escapes() -> None:
    for text in (views.tree(nasty_flow()), views.tree(nasty_flow(), ascii_only=True)):
        assert "\x1b" not in text
        assert "\u202e" not in text
        assert "\\x1b" in text


def test_json_holds_the_whole_definition(flow: Flow) -> None:
    body = json.loads(views.json_text(flow))
    assert body["definition_hash"] == flow_hash(flow)
    assert body["defaults"] == {"mode": "fast", "items": [1], "n": 2}
    kinds = [child["type"] for child in body["root"]["children"]]
    assert kinds == ["task", "all", "switch", "foreach"]
    switch = body["root"]["children"][2]
    assert [case["template"] for case in switch["cases"]] == [False, True]
    assert switch["default"]["type"] == "anyof"


def flow_hash(flow: Flow) -> str:
    from tailrace.flows.hash import definition_hash

    return definition_hash(flow)


def test_sub_flows_and_general_graphs_are_shown(read_graph: Read, flow: Flow) -> None:
    outer = build_flow(name="outer", root=SubFlow(name="", flow=flow))
    assert "flow flow" in views.tree(outer)
    assert "foreach" in views.tree(outer)
    graph = read_graph("- a >> c\n- a >> d\n- b >> d", key="edges:").flow
    assert graph is not None
    assert "after a, b" in views.tree(graph)
    assert len(arrows(views.mermaid(graph), "-->")) == 3


def test_a_flow_without_nodes_has_views() -> None:
    empty = build_flow(name="empty", root=None)
    assert views.tree(empty) == "empty"
    for view in (views.mermaid, views.dot, views.html, views.json_text):
        assert view(empty)
