from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailrace.client.sse import Event, EventParser
from tailrace.errors import TransportError

_WORDS = st.text(st.characters(exclude_characters="\r\n\0", codec="utf-8"), min_size=1, max_size=8)
_EVENTS = st.lists(
    st.builds(
        lambda kind, data, event_id: (kind, data, event_id),
        _WORDS.map(str.strip).filter(bool),
        st.lists(_WORDS, min_size=1, max_size=3),
        _WORDS.map(str.strip).filter(bool),
    ),
    max_size=4,
)


def _parsed(text: bytes, *cuts: int) -> list[Event]:
    parser = EventParser()
    edges = [0, *sorted(cut % (len(text) + 1) for cut in cuts), len(text)]
    pieces = [text[start:end] for start, end in pairwise(edges)]
    return [event for piece in pieces for event in parser.feed(piece)]


@given(_EVENTS, st.sampled_from(["\n", "\r\n", "\r"]), st.lists(st.integers(0, 10_000), max_size=9))
def test_events_are_the_same_however_the_bytes_are_cut(
    events: list[tuple[str, list[str], str]], end: str, cuts: list[int]
) -> None:
    text = "".join(
        f"event: {kind}{end}"
        + "".join(f"data: {line}{end}" for line in data)
        + f": a comment{end}id: {event_id}{end}{end}"
        for kind, data, event_id in events
    )
    found = _parsed((text + ":").encode(), *cuts)
    wanted = [
        Event(kind=kind, data="\n".join(data), event_id=event_id) for kind, data, event_id in events
    ]
    assert found == wanted


@given(st.binary(max_size=200), st.lists(st.integers(0, 1000), max_size=5))
def test_any_bytes_are_read_alike_in_one_piece_and_in_many(text: bytes, cuts: list[int]) -> None:
    assert _parsed(text, *cuts) == _parsed(text)


def test_the_last_id_holds_for_events_without_one() -> None:
    found = _parsed(b"id: 7\ndata: a\n\ndata: b\n\n")
    assert [(event.data, event.event_id) for event in found] == [("a", "7"), ("b", "7")]


def test_a_mark_of_byte_order_and_events_without_data_are_passed_over() -> None:
    found = _parsed(b"\xef\xbb\xbfevent: x\n\ndata: a\n\n")
    assert [(event.kind, event.data) for event in found] == [("message", "a")]


def test_an_event_without_an_end_is_refused() -> None:
    parser = EventParser()
    with pytest.raises(TransportError, match="without an end"):
        [list(parser.feed(b"data: " + b"x" * 1_000_000)) for _ in range(40)]
