import time
from typing import assert_never

import pytest
from hypothesis import given
from hypothesis import strategies as st

from effort import times
from tailrace.flows.findings import Findings
from tailrace.flows.graph_text import parse_graph
from tailrace.flows.graph_tree import (
    Group,
    LoopTerm,
    Pipeline,
    PipeTerm,
    SwitchTerm,
    TaskTerm,
    Term,
)
from tailrace.flows.passage import Passage, SourceFile
from tailrace.model import Finding


def parse(text: str) -> tuple[str, list[Finding]]:
    """Return what a text says, written again in full, and what is wrong with it."""
    findings = Findings()
    found = parse_graph(Passage.whole(SourceFile("g", text)), findings)
    return "" if found is None else shown(found), findings.sorted()


def shown(term: Term) -> str:
    match term:
        case TaskTerm():
            return f"{term.name}:{term.task}" if term.name else term.task
        case PipeTerm():
            return f"pipe({term.pipe})"
        case Pipeline():
            return "[" + " > ".join(map(shown, term.terms)) + "]"
        case Group():
            return (
                f"{term.name}({(' | ' if term.is_race else ' & ').join(map(shown, term.members))})"
            )
        case SwitchTerm():
            cases = [f"{case.key.text.strip()}={shown(case.body)}" for case in term.cases]
            cases += [] if term.default is None else [f"default={shown(term.default)}"]
            return f"{term.name}switch({term.on.text.strip()}){{{'; '.join(cases)}}}"
        case LoopTerm():
            given = ",".join(f"{key}={value.text.strip()}" for key, value in term.arguments.items())
            return f"{term.name}{term.kind}({given}){{{shown(term.body)}}}"
        case _:
            assert_never(term)


@pytest.mark.parametrize(
    ("text", "meaning"),
    [
        ("a", "[a]"),
        ("a >> b>>c", "[a > b > c]"),
        ("a # first\n>> b # last", "[a > b]"),
        ("load-it >> été_2", "[load-it > été_2]"),
        ("first: run >> second: run", "[first:run > second:run]"),
        ("(a & b & c)", "[([a] & [b] & [c])]"),
        ("(a >> b | (c & d))", "[([a > b] | [([c] & [d])])]"),
        ("g: (a | b)", "[g([a] | [b])]"),
        ("(a >> b) >> c", "[[a > b] > c]"),
        ("pipe(p) >> pipe('q r')", "[pipe(p) > pipe(q r)]"),
        ("repeat(count=3){ a }", "[repeat(count=3){[a]}]"),
        ("r: repeat(count={{ n }}, collect=last){ a }", "[rrepeat(count=n,collect=last){[a]}]"),
        ("foreach(over=items,item=it , index=i){a}", "[foreach(over=items,item=it,index=i){[a]}]"),
        ("foreach(over=params.items){a}", "[foreach(over=params.items){[a]}]"),
        ("until(cond={{ results.a.done }}){a}", "[until(cond=results.a.done){[a]}]"),
        ("switch(on=m){ x: a >> c; default: d }", "[switch(m){x=[a > c]; default=[d]}]"),
        ("switch(on=m){ x: n: a; }", "[switch(m){x=[n:a]}]"),
        ("switch(on=m){ 1: a; -2: b; 'x y': c }", "[switch(m){1=[a]; -2=[b]; x y=[c]}]"),
        ("switch(on=m){ {{ k }}: d }", "[switch(m){k=[d]}]"),
        ("switch(on=m){ x: 'a >> b'; y: \"(c & d)\" }", "[switch(m){x=[a > b]; y=[([c] & [d])]}]"),
        ("switch(on={{ {'a': {'b': '}}'}} }}){ x: a }", "[switch({'a': {'b': '}}'}}){x=[a]}]"),
        ("switch >> pipe >> default", "[switch > pipe > default]"),
    ],
)  # fmt: skip
def test_the_grammar_reads(text: str, meaning: str) -> None:
    assert parse(text) == (meaning, [])


@pytest.mark.parametrize(
    ("text", "code", "columns", "words"),
    [
        ("", "TR120", (1, 1), "empty"),
        ("a >> >> b", "TR120", (6, 8), "'>>'"),
        ("a b", "TR120", (3, 4), "must follow"),
        ("a & b", "TR120", (3, 4), "'&'"),
        ("a > b", "TR120", (3, 4), "'>'"),
        ("a >> 3b", "TR120", (6, 8), "3b"),
        ("a >> 'b'", "TR120", (6, 9), "the text"),
        ("a.b >> c", "TR120", (1, 4), "a.b"),
        ("(a & b | c)", "TR122", (8, 9), "mixed"),
        ("(a >> b", "TR121", (1, 2), "never closed"),
        ("a >> {{ x", "TR121", (6, 8), "never closed"),
        ("a >> 'x", "TR121", (6, 7), "never closed"),
        ("a >> b)", "TR120", (7, 8), "')'"),
        ("loop(x){ a }", "TR120", (1, 5), "no block 'loop'"),
        ("repeet(count=3){ a }", "TR120", (1, 7), "did you mean 'repeat'?"),
        ("repeat(cnt=3){ a }", "TR127", (8, 11), "did you mean 'count'?"),
        ("repeat(count=1, count=2){ a }", "TR127", (17, 22), "twice"),
        ("repeat(){ a }", "TR127", (1, 7), "needs count="),
        ("repeat(count=){ a }", "TR120", (14, 15), "count="),
        ("repeat(count=3)", "TR120", (16, 16), "'{'"),
        ("switch(on=x){ a }", "TR120", (17, 18), "key: branch"),
        ("switch(on=x){ default: a; default: b }", "TR127", (27, 34), "two defaults"),
        ("x: (a >> b)", "TR120", (1, 2), "names a group"),
        ("x: pipe(p)", "TR120", (1, 2), "cannot be named"),
        ("x: >> b", "TR120", (4, 6), "must follow 'x:'"),
        ("(" * 49 + "a" + ")" * 49, "TR126", (49, 50), "nested"),
    ],
)  # fmt: skip
def test_a_mistake_is_found_where_it_is(
    text: str, code: str, columns: tuple[int, int], words: str
) -> None:
    _, findings = parse(text)
    matching = [found for found in findings if found.code == code]
    assert matching, findings
    where = matching[0].where
    assert where is not None
    assert (where.column, where.end_column) == columns
    assert words in matching[0].message
    assert matching[0].hint


def test_one_reading_finds_all_mistakes() -> None:
    text = "a >> >> b >> lop(x) >> (c & d | e) >> switch(no=1){ x y } >> f )"
    _, findings = parse(text)
    assert [found.code for found in findings] == [
        "TR120", "TR120", "TR122", "TR127", "TR120", "TR120",
    ]  # fmt: skip


def test_after_a_mistake_the_rest_is_still_read() -> None:
    meaning, findings = parse("a >> lop(x){ b } >> (c & : & d) >> e")
    assert meaning == "[a > ([c] & [] & [d]) > e]"
    assert len(findings) == 2


def test_messages_stay_short_whatever_the_text() -> None:
    _, findings = parse(f"{'x' * 10_000} >> {'9' * 10_000}y >> '{'q' * 10_000}'")
    assert findings
    assert all(len(found.message) + len(found.hint) < 500 for found in findings)


_WORDS = st.sampled_from(
    [">>", "&", "|", "(", ")", "{", "}", "{{", "}}", ":", ";", ",", "=", "a", "b-c", "1", "-2", "'",
     '"', "\\", "switch", "foreach", "until", "repeat", "pipe", "default", "on", "over", "#", "\n",
     ".", "$", " "]
)  # fmt: skip


@given(st.one_of(st.text(max_size=80), st.lists(_WORDS, max_size=40).map(" ".join)))
def test_no_text_crashes_the_parser(text: str) -> None:
    meaning, findings = parse(text)
    assert meaning or findings
    for found in findings:
        assert found.where is not None
        assert found.hint


@pytest.mark.no_cover
@pytest.mark.parametrize(
    "piece",
    ["(", ")", "a >> ", "(a & ", "switch(on=x){a: ", "x( ", "a: ", "{{", "'", '"', "{", "\\", "0e",
     "a-", "a.", "{{ '", "repeat(count=1){ ", "(a >> ", "; ", "foreach(over=x, ", "# "],
)  # fmt: skip
def test_no_repeated_piece_takes_more_than_linear_time(piece: str) -> None:
    text = piece * (times(25_000) // len(piece))
    start = time.thread_time()
    parse(text)
    assert time.thread_time() - start < 30
