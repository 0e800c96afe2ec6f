import math
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailrace.flows.findings import Findings
from tailrace.flows.passage import Passage, SourceFile
from tailrace.flows.yaml_text import Scalar, Table, passage_of, plain, read_yaml


def read(text: str) -> tuple[Any, list[str]]:
    """Return the data of a text and the codes of what is wrong with it."""
    findings = Findings()
    tree = read_yaml(SourceFile("f.yaml", text), findings)
    return None if tree is None else plain(tree), [found.code for found in findings.sorted()]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("yes", "yes"),
        ("on", "on"),
        ("True", True),
        ("false", False),
        ("~", None),
        ("", None),
        ("null", None),
        ("12", 12),
        ("+12", 12),
        ("-7", -7),
        ("017", 17),
        ("0o17", 15),
        ("0x1F", 31),
        ("1_000", "1_000"),
        ("1.5", 1.5),
        ("1.", 1.0),
        (".5", 0.5),
        ("1e3", 1000.0),
        (".inf", math.inf),
        ("-.INF", -math.inf),
        ("2020-01-01", "2020-01-01"),
        ("12:30:45", "12:30:45"),
        ("'12'", "12"),
        ("!!str 12", "12"),
        ("!!int '12'", 12),
        ("!!float 3", 3.0),
        ('"a\\x41\\n"', "aA\n"),
    ],
)
def test_plain_scalars_mean_what_the_core_schema_says(text: str, value: object) -> None:
    data, codes = read(f"a: {text}")
    assert codes == []
    assert data == {"a": value}
    assert type(data["a"]) is type(value)


def test_not_a_number_is_a_float() -> None:
    assert math.isnan(read("a: .nan")[0]["a"])


def test_the_key_on_is_text() -> None:
    assert read("on: 1") == ({"on": 1}, [])


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("a: 1\na: 2", "TR105"),
        ("1: a\n1: b", "TR105"),
        ("a: !python/object:os.system x", "TR111"),
        ("a: !!timestamp 2020-01-01", "TR111"),
        ("a: !!int x", "TR111"),
        ("? [a]\n: 1", "TR111"),
        ("a: [1", "TR104"),
        ("a: b: c", "TR104"),
        ("\ta: 1", "TR104"),
        ("--- 1\n--- 2", "TR104"),
        ("a: \x01", "TR103"),
        ("a: \ud800", "TR103"),
        ("a: *b", "TR109"),
        ("a: &b [*b]", "TR109"),
        ("[" * 65, "TR110"),
        ("[" * 200_000, "TR110"),
        ("a: " + "9" * 5000, "TR107"),
        ("a: {<<: 1}", "TR107"),
    ],
)
def test_what_is_no_safe_yaml_is_refused_with_a_code(text: str, code: str) -> None:
    assert read(text)[1] == [code]


def test_aliases_that_explode_are_refused_at_once() -> None:
    levels = "".join(f"- &l{n} [{', '.join([f'*l{n - 1}'] * 9)}]\n" for n in range(1, 30))
    start = time.thread_time()
    assert read(f"- &l0 [x]\n{levels}") == (None, ["TR109"])
    assert time.thread_time() - start < 15


def test_aliases_and_merge_keys_work_within_bounds() -> None:
    text = "base: &b {x: 1, y: 2}\nlist: [*b, *b]\nmade: {<<: *b, y: 3}"
    data, codes = read(text)
    assert codes == []
    assert data["list"] == [{"x": 1, "y": 2}] * 2
    assert data["made"] == {"x": 1, "y": 3}


@pytest.mark.no_cover
def test_many_aliases_of_a_small_value_take_linear_time() -> None:
    start = time.thread_time()
    data, _ = read("- &a x\n" + "- *a\n" * 40_000)
    assert len(data) == 40_001
    assert time.thread_time() - start < 30


_SPELLINGS = [
    ("plain", "k: fetch >> check"),
    ("single", "k: 'fetch >> it''s >> check'"),
    ("double", 'k: "fetch\\x41 >>\\\n     \\"q\\" >> check"'),
    ("literal", "k: |2\n    fetch # é 😀\n  >> check\n"),
    ("folded", "k: >-\n  fetch\n\n    >> x\n  >> check"),
    ("several lines", "k: fetch\n  >> x\n  >> check"),
]


@pytest.mark.parametrize("text", [text for _, text in _SPELLINGS], ids=[n for n, _ in _SPELLINGS])
def test_each_character_of_a_scalar_is_found_in_the_file(text: str) -> None:
    source = SourceFile("f.yaml", text)
    tree = read_yaml(source, Findings())
    assert isinstance(tree, Table)
    scalar = tree.entries[0].value
    assert isinstance(scalar, Scalar)
    passage = passage_of(scalar, source)
    at = passage.text.index("check")
    span = passage.span(at, at + 5)
    assert source.text.split("\n")[span.line - 1][span.column - 1 :].startswith("check")
    assert span.text == source.text.split("\n")[span.line - 1]
    for char, offset in zip(passage.text, passage.offsets, strict=False):
        assert char.isspace() or text[offset] in {char, "\\"}


@given(st.text(max_size=60))
def test_no_text_crashes_the_reader(text: str) -> None:
    data, codes = read(text)
    assert codes or data is None or not isinstance(data, Findings)


@given(st.text(alphabet="ab:-[]{}&*!|>'\"#,? \n\t%@`1.", max_size=40))
def test_no_text_of_yaml_signs_crashes_the_reader(text: str) -> None:
    findings = Findings()
    source = SourceFile("f.yaml", text)
    tree = read_yaml(source, findings)
    stack = [tree]
    while stack:
        step = stack.pop()
        if isinstance(step, Scalar):
            passage = passage_of(step, source)
            assert len(passage.offsets) == len(passage.text) + 1
            assert list(passage.offsets) == sorted(passage.offsets)
            assert passage.offsets[-1] <= len(text)
        elif isinstance(step, Table):
            stack += [part for entry in step.entries for part in (entry.key, entry.value)]
    for found in findings.sorted():
        assert found.where is not None
        assert found.where.line <= text.count("\n") + 1


@given(st.lists(st.sampled_from(["a", "bb", "\n", "\r\n", "\r", "é", "😀"])))
def test_a_span_gives_back_the_line_it_stands_on(parts: list[str]) -> None:
    text = "".join(parts)
    source = SourceFile("f", text)
    passage = Passage.whole(source)
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    for offset in range(len(text) + 1):
        span = passage.span(offset, offset)
        assert span.text == lines[span.line - 1]
        if offset < len(text) and text[offset] not in "\r\n":
            assert span.text[span.column - 1] == text[offset]
