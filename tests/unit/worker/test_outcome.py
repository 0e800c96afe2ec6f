"""What a run returned, as others get to see it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailrace.errors import TransportError
from tailrace.model.remote import Job, RunState, decode_state, encode
from tailrace.testing import MemoryObjects
from tailrace.worker.outcome import Outcome, OutcomeKeeper

values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
)


async def insist(put: Callable[[], Awaitable[str]]) -> str:
    return await put()


def made(output: Any, objects: MemoryObjects) -> Outcome:
    async def body() -> Outcome:
        keeper = OutcomeKeeper(objects, insist)
        return await asyncio.to_thread(keeper.outcome, "r1", output)

    return asyncio.run(body())


def shown(output: Any) -> Any:
    """Return an output as somebody reads it who asks for all of it."""
    objects = MemoryObjects()
    outcome = made(output, objects)
    state = RunState(job=Job(run_id="r1", flow_name="f"))
    outcome.show(state)
    state = decode_state(encode(state))
    if not state.output_object:
        return state.output
    body = asyncio.run(objects.get(state.output_object))
    assert state.output_bytes == len(body)
    return msgspec.json.decode(body)


@given(values)
def test_what_json_knows_comes_back_as_it_was(value: Any) -> None:
    assert shown(value) == value


@pytest.mark.parametrize("value", ["x" * 100_000, ["x" * 100] * 1000, 2**80, [{"n": -(2**70)}]])
def test_what_no_message_should_hold_is_kept_beside_it(value: Any) -> None:
    objects = MemoryObjects()
    outcome = made(value, objects)
    assert outcome.object_name
    assert len(msgspec.msgpack.encode(outcome.value)) < 1000
    assert shown(value) == value


def test_text_that_no_encoding_knows_is_spelled_out() -> None:
    assert shown({"a\ud800": ["\udfff", "é"]}) == {"a\\ud800": ["\\udfff", "é"]}


class Odd(dict[str, int]):
    def items(self) -> Any:
        raise RuntimeError("not today")


def test_what_cannot_be_read_is_summarized() -> None:
    assert "Odd" in str(shown(Odd(a=1)))


class Full(MemoryObjects):
    async def put(self, data: bytes, *, keep: float | None = None) -> str:
        raise TransportError(f"{len(data):,} bytes for {keep} s", code="TR403")


def test_what_is_too_large_for_everything_is_summarized_and_its_size_told() -> None:
    outcome = made(["x" * 1000] * 1000, Full())
    assert (outcome.object_name, outcome.value[:10]) == ("", "list[1000]")
    assert outcome.size > 1_000_000
