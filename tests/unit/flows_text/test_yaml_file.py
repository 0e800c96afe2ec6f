from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from effort import times
from tailrace.flows.loaded import LoadedFlow
from tailrace.flows.yaml_file import MAX_BYTES, load_yaml, parse_yaml
from tailrace.model import Finding, Isolation, Repeat, Seq, Severity, Switch, TaskNode, Until

Read = Callable[[str], LoadedFlow]

WHOLE = """\
version: 1
name: weather
pipes: {prepare: "fetch >> check"}
tasks:
  fetch:
    callable: "flows_text_tasks:fetch"
    inputs: {url: "$params.url"}
    outputs: ["scratch.raw"]
    policy:
      timeout: "10s"
      retry: {max_attempts: 3, delay: "200ms", mode: exponential, on: [transient]}
      on_error: {action: goto, target: clean_up}
    isolation: thread
    checkpoint: none
    description: Reads the file.
  check: {callable: "flows_text_tasks:check"}
  clean: {use: check, inputs: {value: 3}}
  pick: {callable: "flows_text_tasks:pick", route: true}
  clean_up: {callable: "flows_text_tasks:load"}
flow:
  defaults: {url: "file:data.csv", day: null, mode: x, items: [1, 2]}
  policy: {fail_fast: false}
  max_parallel: 4
  scratch_merge: overwrite
  graph: |
    pipe(prepare)
    >> (clean & first: check)      # side by side
    >> switch(on={{ params.mode }}){ batch: second: check; default: third: check }
    >> foreach(over=items, item=it, index=i, concurrency=4){ fourth: check }
    >> until(cond={{ results.fifth }}, max_iter=5){ fifth: check }
    >> pick
runtime: {expose_env: [API_TOKEN]}
"""


def test_a_whole_file_is_read(read: Read) -> None:
    loaded = read(WHOLE)
    assert loaded.findings == []
    flow = loaded.flow
    assert flow is not None
    assert (flow.name, flow.max_parallel, flow.expose_env) == ("weather", 4, ("API_TOKEN",))
    assert flow.policy is not None
    assert flow.policy.fail_fast is False
    assert flow.scratch_merge == "overwrite"
    assert flow.defaults["day"] is None
    assert list(flow.handlers) == ["clean_up"]
    assert isinstance(flow.root, Seq)
    fetch = flow.root.children[0]
    assert isinstance(fetch, TaskNode)
    assert fetch.task.isolation is Isolation.THREAD
    assert fetch.task.checkpoint == "none"
    assert fetch.task.doc == "Reads the file."
    assert fetch.inputs == {"url": "$params.url"}
    assert fetch.outputs == ("scratch.raw",)
    assert fetch.policy is not None
    assert fetch.policy.retry.max_attempts == 3
    assert str(fetch.where) == "flow.yaml:3:19"
    pick = flow.root.children[-1]
    assert isinstance(pick, TaskNode)
    assert pick.task.routes


def test_a_file_is_named_after_itself(folder: Path) -> None:
    path = folder / "nightly.yaml"
    path.write_text(
        "version: 1\ntasks: {a: {callable: 'flows_text_tasks:check'}}\nflow: {graph: a}\n"
    )
    loaded = load_yaml(path)
    assert loaded.findings == []
    assert loaded.flow is not None
    assert loaded.flow.name == "nightly"
    assert loaded.flow.source == str(path)


def file_of(lines: str) -> str:
    """Return a file that is right but for some lines; ``graph`` and ``a`` come with it."""
    keys = {line.partition(":")[0] for line in lines.split("\n")}
    text = "" if "tasks" in keys else "tasks: {a: {callable: 'flows_text_tasks:check'}}\n"
    text += "" if "flow" in keys else "flow: {graph: a}\n"
    return f"{text}{lines}\n"


TASK = "tasks:\n  a: "
GOOD = "callable: 'flows_text_tasks:check'"

REJECTED = [
    ("nam: x", "TR106", "nam", "did you mean 'name'?"),
    ("tasks: {a: {calable: 'x:y'}}", "TR106", "calable", "did you mean 'callable'?"),
    ("flow: {graf: a}", "TR106", "graf", "did you mean 'graph'?"),
    ("runtime: {expose: [A]}", "TR106", "expose", "expose_env"),
    ("flows: {x: 1}", "TR113", "flows", "one flow"),
    ("discovery: {modules: [x]}", "TR113", "discovery", "imported"),
    ("version: 2", "TR115", "2", "version 1"),
    ("version: [1]", "TR115", "[1]", "version 1"),
    (TASK + "{" + GOOD + ", use: b}", "TR114", "use", "both 'callable' and 'use'"),
    (TASK + "{}", "TR108", "a", "neither 'callable' nor 'use'"),
    (TASK, "TR108", "a", "neither 'callable' nor 'use'"),
    (TASK + "5", "TR107", "5", "a mapping"),
    (TASK + "{use: b}\n  b: {use: a}", "TR114", "a", "circle"),
    (TASK + "{callable: 7}", "TR107", "7", "Quote it"),
    (TASK + "{callable: {{ x }}}", "TR111", "{ x }", "Quote templates"),
    (TASK + "{" + GOOD + ", isolation: threads}", "TR117", "threads", "did you mean 'thread'?"),
    (TASK + "{" + GOOD + ", checkpoint: json}", "TR117", "json", "auto, pickle, none"),
    (TASK + "{" + GOOD + ", route: maybe}", "TR107", "maybe", "true or false"),
    (TASK + "{" + GOOD + ", outputs: scratch.x}", "TR107", "scratch.x", "a list of texts"),
    (TASK + "{" + GOOD + ", outputs: [1]}", "TR107", "1", "text"),
    (TASK + "{" + GOOD + ", inputs: [1]}", "TR107", "[1]", "a mapping"),
    (TASK + "{" + GOOD + ", inputs: {1: x}}", "TR107", "1", "text"),
    (TASK + "{" + GOOD + ", inputs: {v: [0, '{{ 1 + }}']}}", "TR140", "}", "value"),
    (TASK + "{" + GOOD + ", policy: {timeout: 5x}}", "TR170", "5x", "seconds"),
    (TASK + "{" + GOOD + ", policy: {timout: 5s}}", "TR171", "timout", "did you mean 'timeout'?"),
    (TASK + "{" + GOOD + ", policy: {retry: {on: [flaky]}}}", "TR170", "[flaky]", "transient"),
    (TASK + "{" + GOOD + ", policy: {on_error: {action: goto}}}", "TR173", "{action", "target"),
    (TASK + "{" + GOOD + ", policy: 5}", "TR107", "5", "a mapping"),
    ("tasks: [a]", "TR107", "[a]", "a mapping"),
    ("flow: a", "TR107", "a", "a mapping"),
    ("flow: {}", "TR108", "{}", "no 'graph'"),
    ("flow: {graph: }", "TR108", "graph", "no 'graph'"),
    ("flow: {graph: '  '}", "TR107", "'  '", "not empty"),
    ("flow: {graph: [a]}", "TR107", "[a]", "text"),
    ("flow: {graph: a, edges: [a]}", "TR114", "edges", "both 'graph' and 'edges'"),
    ("flow: {graph: a, entry: a}", "TR114", "entry", "both 'graph' and 'entry'"),
    ("flow: {graph: a, max_parallel: 0}", "TR107", "0", "a whole number from 1 on"),
    ("flow: {graph: a, max_parallel: true}", "TR107", "true", "a whole number"),
    ("flow: {graph: a, scratch_merge: mine}", "TR117", "mine", "overwrite"),
    ("flow: {graph: a, defaults: 5}", "TR107", "5", "a mapping"),
    ("flow: {graph: a, policy: {fail_fast: 3}}", "TR170", "3", "true or false"),
    ("runtime: {expose_env: A}", "TR107", "A", "a list of texts"),
    ("pipes: {p: 5}", "TR107", "5", "text"),
    ("pipes: {p: 'a >>'}", "TR120", "'", "needed"),
    ("flow: {graph: pipe(q)}", "TR124", "pipe(q)", "no pipe"),
    ("pipes: {p: pipe(q), q: pipe(p)}\nflow: {graph: pipe(p)}", "TR125", "pipe(p)", "p >> q >> p"),
    ("flow: {graph: a >> ab}", "TR123", "ab", "did you mean 'a'?"),
    ("flow: {graph: 'until(cond=x, max_iter=0){ a }'}", "TR127", "0", "from 1 on"),
    ("flow: {graph: 'until(cond=x, max_iter=n){ a }'}", "TR127", "n", "from 1 on"),
    ("flow: {graph: 'repeat(count=n, collect=lst){ a }'}", "TR127", "lst", "did you mean 'list'?"),
    ("flow: {graph: 'switch(on={{ a b }}){ x: a }'}", "TR140", "b", "b"),
    ("flow: {graph: 'x: a >> x: a'}", "TR130", "x: a", "2 nodes"),
    ("name: x\nname: y", "TR105", "name", "second time"),
]  # fmt: skip


@pytest.mark.parametrize(("lines", "code", "marked", "words"), REJECTED)
def test_what_is_wrong_is_marked_and_explained(
    read: Read, lines: str, code: str, marked: str, words: str
) -> None:
    text = file_of(lines)
    loaded = read(text)
    found = next((found for found in loaded.findings if found.code == code), None)
    assert found is not None, loaded.findings
    assert found.severity is Severity.ERROR
    assert words in f"{found.message} {found.hint}"
    where = found.where
    assert where is not None
    assert where.text == text.split("\n")[where.line - 1]
    assert where.text[where.column - 1 :].startswith(marked)
    assert found.hint or code.startswith(("TR14", "TR17"))


def test_the_examples_of_the_table_name_every_error_of_the_file_reader() -> None:
    codes = {row[1] for row in REJECTED}
    assert codes >= {f"TR{number}" for number in (105, 106, 107, 108, 111, 113, 114, 115, 117)}


def test_all_mistakes_are_found_at_once(read: Read) -> None:
    loaded = read("""\
        version: 3
        nam: x
        tasks:
          a: {callable: "flows_text_tasks:chek"}
          b: {callable: "no_such_module:f", isolation: threads}
        flow:
          max_parallel: many
          graph: |
            a >> bb >> (a & b
        """)
    assert [found.code for found in loaded.findings if found.severity is Severity.ERROR] == [
        "TR115", "TR106", "TR163", "TR161", "TR117", "TR107", "TR123", "TR121",
    ]  # fmt: skip
    assert [found.where.line for found in loaded.findings if found.where] == sorted(
        found.where.line for found in loaded.findings if found.where
    )


def test_a_task_that_cannot_be_imported_does_not_hide_other_problems(read: Read) -> None:
    loaded = read(file_of(
        "tasks:\n  a: {callable: 'flows_text_tasks:nothing'}\n  b: {callable: "
        "'flows_text_tasks:check', inputs: {valu: 1}}\nflow: {graph: a >> b}"
    ))  # fmt: skip
    assert [found.code for found in loaded.findings] == ["TR163", "TR151"]
    assert loaded.flow is not None


def warnings(loaded: LoadedFlow) -> list[Finding]:
    """Return the warnings of a file without errors, but for those about unused tasks."""
    assert [found for found in loaded.findings if found.severity is Severity.ERROR] == []
    return [found for found in loaded.findings if found.code != "TR116"]


def test_words_that_older_yaml_takes_for_booleans_are_warned_about(read: Read) -> None:
    loaded = read(file_of("flow: {graph: a, defaults: {x: yes, y: 'no', on: true}}"))
    found = warnings(loaded)
    assert [one.code for one in found] == ["TR112"]
    assert found[0].where is not None
    assert found[0].where.text[found[0].where.column - 1 :].startswith("yes")
    assert loaded.flow is not None
    assert loaded.flow.defaults == {"x": "yes", "y": "no", "on": True}


def test_a_task_that_is_never_used_is_warned_about(read: Read) -> None:
    text = f"tasks:\n  a: {{{GOOD}}}\n  b: {{{GOOD}}}"
    assert [found.code for found in read(file_of(text)).findings] == ["TR116"]


def test_a_task_that_comes_again_gets_a_number_and_a_warning(read_graph: Read) -> None:
    loaded = read_graph("a >> b >> a >> a_3: b >> a")
    assert [found.code for found in warnings(loaded)] == ["TR129", "TR129"]
    assert loaded.flow is not None
    assert isinstance(loaded.flow.root, Seq)
    assert [node.name for node in loaded.flow.root.children if isinstance(node, TaskNode)] == [
        "a", "b", "a_2", "a_3", "a_4",
    ]  # fmt: skip


def test_branches_of_one_switch_may_use_the_same_task(read_graph: Read) -> None:
    loaded = read_graph("switch(on=mode){ x: a >> b; y: b >> a; default: a } >> c")
    assert warnings(loaded) == []


def test_a_task_after_a_switch_that_used_it_gets_a_number(read_graph: Read) -> None:
    loaded = read_graph("switch(on=mode){ x: a; default: b } >> a")
    assert [found.code for found in warnings(loaded)] == ["TR129"]


def test_quoted_numbers_and_booleans_as_cases_are_warned_about(read_graph: Read) -> None:
    loaded = read_graph(
        'switch(on=mode){ "1": a; "true": b; fast: c; 2: d; {{ "3" }}: e; {{ n }}: f; default: g }'
    )
    assert [found.code for found in warnings(loaded)] == ["TR112", "TR112"]
    assert loaded.flow is not None
    assert isinstance(loaded.flow.root, Switch)
    keys = [(case.key, case.template) for case in loaded.flow.root.cases]
    assert keys == [
        (1, False), (True, False), ("fast", False), (2, False), ("3", False), ("params.n", True),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("graph", "source"),
    [
        ("switch(on=mode){ x: a; default: b }", "params.mode"),
        ("switch(on={{ mode }}){ x: a; default: b }", "params.mode"),
        ("switch(on='mode'){ x: a; default: b }", "params.mode"),
        ("switch(on=params.mode){ x: a; default: b }", "params.mode"),
        ("switch(on={{ $ctx.params.mode }}){ x: a; default: b }", "params.mode"),
        ("switch(on={{ params.n > 1 and mode2 }}){ x: a; default: b }", "params.n > 1 and mode2"),
    ],
)
def test_a_bare_name_is_a_param(read_graph: Read, graph: str, source: str) -> None:
    loaded = read_graph(graph)
    assert loaded.flow is not None
    assert isinstance(loaded.flow.root, Switch)
    assert loaded.flow.root.on == source


def test_a_bare_name_in_a_loop_may_be_the_loop_variable(read_graph: Read) -> None:
    loaded = read_graph("foreach(over=items, item=it){ switch(on=it){ 1: a; default: b } }")
    assert warnings(loaded) == []


def test_counts_are_numbers_or_expressions(read_graph: Read) -> None:
    for graph, count in (
        ("repeat(count=3){ a }", 3),
        ("repeat(count='3'){ a }", 3),
        ("repeat(count=n){ a }", "params.n"),
    ):
        loaded = read_graph(graph)
        assert loaded.flow is not None
        assert isinstance(loaded.flow.root, Repeat)
        assert loaded.flow.root.count == count


def test_until_reads_any_path_and_has_a_default_maximum(read_graph: Read) -> None:
    loaded = read_graph("until(cond={{ results.a }}){ a }")
    assert warnings(loaded) == []
    assert loaded.flow is not None
    assert isinstance(loaded.flow.root, Until)
    assert (loaded.flow.root.condition, loaded.flow.root.max_iterations) == ("results.a", 1000)


def test_a_mistake_in_quoted_graph_text_is_found_in_its_quotes(read: Read) -> None:
    loaded = read(file_of('flow:\n  graph: "a >>\n    \\"x\\" >> nothing"'))
    where = [found.where for found in loaded.findings if found.code == "TR123"]
    assert loaded.flow is None
    assert [found.code for found in loaded.findings] == ["TR120", "TR123"]
    assert where[0] is not None
    assert where[0].text[where[0].column - 1 :].startswith("nothing")


def test_a_mistake_in_a_quoted_branch_is_found_in_its_quotes(read_graph: Read) -> None:
    loaded = read_graph("switch(on=mode){ x: 'a >> nothing'; default: b }")
    where = loaded.findings[0].where
    assert where is not None
    assert where.text[where.column - 1 :].startswith("nothing'")


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"a: \xff\xfe", "TR103"),
        (b"x" * (MAX_BYTES + 1), "TR102"),
        (b"", "TR108"),
        (b"# nothing\n", "TR108"),
        (b"- a\n", "TR108"),
        (b"text", "TR108"),
    ],
)
def test_a_file_that_is_no_flow_is_refused(tmp_path: Path, body: bytes, code: str) -> None:
    path = tmp_path / "flow.yaml"
    path.write_bytes(body)
    loaded = load_yaml(path)
    assert loaded.flow is None
    assert [found.code for found in loaded.findings] == [code]


def test_a_file_that_cannot_be_read_is_a_finding(tmp_path: Path) -> None:
    assert [found.code for found in load_yaml(tmp_path / "no.yaml").findings] == ["TR101"]
    assert [found.code for found in load_yaml(tmp_path).findings] == ["TR101"]


def test_a_byte_order_mark_does_not_matter(folder: Path) -> None:
    path = folder / "flow.yaml"
    path.write_bytes(b"\xef\xbb\xbf" + file_of("version: 1").encode())
    assert load_yaml(path).findings == []


def test_a_refused_module_is_not_imported(folder: Path) -> None:
    (folder / "flows_text_forbidden.py").write_text("raise SystemExit('imported')\n")
    text = "tasks: {a: {callable: 'flows_text_forbidden:f'}}\nflow: {graph: a}\n"
    asked: list[str] = []

    def allow(module: str) -> bool:
        asked.append(module)
        return False

    loaded = parse_yaml(text, file="f.yaml", folder=folder, allow_import=allow)
    assert [found.code for found in loaded.findings] == ["TR165"]
    assert asked == ["flows_text_forbidden"]


def test_many_warnings_never_hide_an_error(read_graph: Read) -> None:
    loaded = read_graph(" >> ".join(["a"] * 2_000) + " >> nothing")
    assert "TR123" in {found.code for found in loaded.findings}


_LINES = st.lists(
    st.sampled_from(
        ["version: 1", "tasks:", "  a: {callable: 'shlex:quote'}", "  b:", "    use: a", "flow:",
         "  graph: a >> b", "  graph: |", "    a >> (b & c)", "  edges: ['a >> b']", "  entry: a",
         "  defaults: {x: &x 1, y: *x}", "pipes: {p: a}", "runtime:", "  expose_env: [A]", "- x",
         "  policy: {timeout: 5s}", "  policy: {retry: 5}", "    inputs: {s: '{{ x }'}", "null",
         "  max_parallel: -1", "name: 5", "  policy: &p {<<: *p}", "'", "{", "\t"]
    ),
    max_size=12,
)  # fmt: skip


@given(st.one_of(st.text(max_size=60), _LINES.map("\n".join)))
@settings(deadline=None, suppress_health_check=list(HealthCheck), max_examples=times(75))
def test_no_text_crashes_the_reader(text: str) -> None:
    loaded = parse_yaml(text, file="f.yaml")
    has_error = any(found.severity is Severity.ERROR for found in loaded.findings)
    assert has_error or loaded.flow is not None
