from __future__ import annotations

import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailrace.gateway.caller import Caller
from tailrace.gateway.problems import Problem
from tailrace.gateway.submission import (
    MOST_NESTED,
    Submission,
    instant_of,
    job_of,
    read_submission,
    run_id_for,
)

FIELDS = ("flow_name", "params", "tag", "tags", "priority", "delay", "run_at", "x")
NOW = 1_800_000_000.0
plain = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4)
    ),
    max_leaves=20,
)


@pytest.mark.no_cover
@given(st.dictionaries(st.text(max_size=8), plain, max_size=5))
def test_params_arrive_as_they_were_sent(params: dict[str, Any]) -> None:
    body = json.dumps({"flow_name": "f", "params": params}, ensure_ascii=False)
    try:
        found = read_submission(body.encode()).params
    except UnicodeEncodeError:
        return
    assert found == params


def read_or_refusal(body: bytes) -> Submission | Problem:
    try:
        return read_submission(body)
    except Problem as problem:
        return problem


@given(st.binary(max_size=200) | st.text(max_size=200).map(lambda t: t.encode("utf-8", "replace")))
def test_any_bytes_are_read_or_refused(body: bytes) -> None:
    found = read_or_refusal(body)
    if isinstance(found, Problem):
        assert found.status == 422
        assert json.loads(bytes(found.answer().body))["detail"]


@pytest.mark.no_cover
@given(
    st.fixed_dictionaries(
        {},
        optional=dict.fromkeys(FIELDS, plain),
    )
)
def test_any_document_is_read_or_refused(document: dict[str, Any]) -> None:
    found = read_or_refusal(json.dumps(document).encode())
    if isinstance(found, Problem):
        assert found.status == 422
    else:
        assert found.flow_name == document["flow_name"]


@pytest.mark.parametrize("depth", [1, MOST_NESTED - 2, MOST_NESTED + 1, 5_000])
def test_nesting_is_bounded(depth: int) -> None:
    body = b'{"flow_name": "f", "params": {"a": ' + b"[" * depth + b"]" * depth + b"}}"
    if depth < MOST_NESTED - 1:
        assert read_submission(body).flow_name == "f"
        return
    with pytest.raises(Problem) as caught:
        read_submission(body)
    assert caught.value.detail[0]["type"] == "recursion_loop"


def test_brackets_in_texts_are_no_nesting() -> None:
    text = '[{"\\' * 200
    body = json.dumps({"flow_name": "f", "params": {"a": text, "b": "[" * 300}})
    assert read_submission(body.encode()).params["a"] == text


def test_an_error_says_no_more_than_it_was_told() -> None:
    body = json.dumps({"flow_name": "f", "params": "x" * 100_000, "tag": ["y" * 100_000]})
    with pytest.raises(Problem) as caught:
        read_submission(body.encode())
    assert len(caught.value.answer().body) < 2_000


def test_instants_are_unix_seconds_or_iso() -> None:
    assert instant_of(None, None, now=NOW) is None
    assert instant_of(None, 5, now=NOW) == NOW + 5
    assert instant_of(None, 0, now=NOW) is None
    assert instant_of(NOW + 60, None, now=NOW) == NOW + 60
    assert instant_of(NOW - 60, None, now=NOW) is None
    assert instant_of("2027-01-15T08:01:00+00:00", None, now=NOW) == NOW + 60
    for wrong in ("2027-01-15T08:01:00", "soon", NOW * 10, 0.0):
        with pytest.raises(Problem):
            instant_of(wrong, None, now=NOW)
    with pytest.raises(Problem):
        instant_of(NOW, 1, now=NOW)


def test_a_job_is_complete() -> None:
    caller = Caller(key_id="k1", tenant_id="acme", role="submit")
    wanted = read_submission(b'{"flow_name": "f", "tag": "gpu", "label": "l"}')
    job = job_of(wanted, caller, {"idempotency-key": "a"})
    assert (job.tag, job.tags, job.label) == ("gpu", ("gpu",), "l")
    assert (job.tenant_id, job.api_key_id, job.idempotency_key) == ("acme", "k1", "a")
    assert job.run_id == run_id_for(caller, "a")
    assert job.run_id != run_id_for(Caller(), "a")
    assert len(job.run_id) == 32
    assert abs(job.submitted_at - time.time()) < 60
    assert job_of(wanted, caller, {}).run_id != job_of(wanted, caller, {}).run_id
