"""Values of numpy, pandas, pydantic and msgspec themselves, not of stand-ins for them."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

import msgspec
import numpy as np
import pandas as pd  # type: ignore[import-untyped] # it ships none
import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailrace.codecs import Encoded, Unencodable, decode, encode

NOON = dt.datetime(2026, 11, 21, 12, tzinfo=dt.UTC)


def there_and_back(value: Any) -> Any:
    encoded = encode(value)
    assert isinstance(encoded, Encoded), encoded
    return decode(encoded.codec, encoded.body)


@pytest.mark.parametrize(
    "array",
    [
        np.arange(12, dtype="int16").reshape(3, 4),
        np.array([1.5, np.nan, -np.inf]),
        np.array(["a", "longer", ""]),
        np.array([], dtype="complex128"),
        np.array(7),
        np.array(["2026-11-21", "NaT"], dtype="datetime64[D]"),
        np.array([(1, 2.0)], dtype=[("n", "i4"), ("x", "f8")]),
        np.asfortranarray(np.eye(3)),
        np.array([[1, None], [{"k": 2}, "t"]], dtype=object),
    ],
    ids=lambda array: str(array.dtype),
)
def test_arrays_come_back_with_type_and_shape(array: Any) -> None:
    again = there_and_back(array)
    assert (again.dtype, again.shape) == (array.dtype, array.shape)
    np.testing.assert_array_equal(again, array)


@pytest.mark.parametrize(
    "scalar", [np.int8(-3), np.float32(0.1), np.bool_(True), np.str_("é"), np.datetime64("2026-01")]
)
def test_scalars_come_back_with_their_type(scalar: Any) -> None:
    again = there_and_back({"value": scalar})["value"]
    assert type(again) is type(scalar)
    assert again == scalar


@given(st.lists(st.floats(width=32)), st.sampled_from(["float32", "float64"]))
def test_any_floats_come_back_bit_by_bit(values: list[float], kind: str) -> None:
    array = np.array(values, dtype=kind)
    assert there_and_back(array).tobytes() == array.tobytes()


FRAME = pd.DataFrame(
    {
        "count": [1, 2, 3],
        "share": [0.5, None, 1.0],
        "name": ["a", None, "c"],
        "when": pd.to_datetime(["2026-11-21", None, "2026-11-23"], utc=True),
        "kind": pd.Categorical(["x", "y", "x"], categories=["y", "x"], ordered=True),
        "maybe": pd.array([1, None, 3], dtype="Int64"),
        "flag": pd.array([True, None, False], dtype="boolean"),
        "mixed": pd.Series([1, "two", Decimal("3.0")], dtype=object),
    },
    index=pd.Index(["r1", "r2", "r3"], name="row"),
)


@pytest.mark.parametrize(
    "frame",
    [
        FRAME,
        FRAME.iloc[:0],
        pd.DataFrame(),
        FRAME.set_index(["count", "name"]),
        FRAME[["count", "share"]].T,
        pd.DataFrame({"v": [1, 2]}, index=pd.date_range("2026-01-01", periods=2, freq="D")),
        pd.DataFrame([[1, 2]], columns=["same", "same"]),
    ],
    ids=["all types", "no rows", "empty", "two keys", "turned", "days", "one name twice"],
)
def test_frames_come_back_equal(frame: pd.DataFrame) -> None:
    pd.testing.assert_frame_equal(there_and_back(frame), frame, check_freq=True)


@pytest.mark.parametrize("name", list(FRAME.columns))
def test_columns_come_back_equal(name: str) -> None:
    pd.testing.assert_series_equal(there_and_back(FRAME[name]), FRAME[name])


@pytest.mark.parametrize(
    "value",
    [
        pd.Timestamp("2026-11-21T12:00:00.123456789", tz="Asia/Tokyo"),
        pd.Timestamp("2026-11-21"),
        pd.Timedelta("1 days 00:00:00.5"),
        pd.RangeIndex(0, 10, 3, name="n"),
    ],
    ids=str,
)
def test_instants_spans_and_ranges_come_back_equal(value: Any) -> None:
    again = there_and_back(value)
    assert type(again) is type(value)
    assert (again == value) is True or bool((again == value).all())


def test_what_is_missing_stays_missing() -> None:
    again = there_and_back([pd.NaT, pd.NA])
    assert again[0] is pd.NaT
    assert again[1] is pd.NA


def test_a_frame_with_attributes_is_refused_and_not_stored_nearly_right() -> None:
    frame = pd.DataFrame({"v": [1]})
    frame.attrs["source"] = "somewhere"
    answer = encode(frame)
    assert isinstance(answer, Unencodable)
    assert "attributes" in answer.reason


class Line(pydantic.BaseModel):
    sku: str
    price: Decimal
    at: dt.datetime = NOON


class Order(pydantic.BaseModel, extra="allow"):
    lines: list[Line]
    _checked: bool = pydantic.PrivateAttr(default=False)

    @pydantic.field_validator("lines")
    @classmethod
    def some(cls, lines: list[Line]) -> list[Line]:
        assert lines, "an order has lines"
        return lines


def test_models_come_back_equal_with_what_was_set_and_what_is_private() -> None:
    order = Order.model_validate({"lines": [{"sku": "a", "price": "1.10"}], "note": "hurry"})
    order._checked = True
    again = there_and_back(order)
    assert again == order
    assert again.lines[0].model_fields_set == {"sku", "price"}
    assert again.model_extra == {"note": "hurry"}
    assert again._checked is True


def test_a_model_comes_back_as_it_was_and_no_validator_runs_again() -> None:
    order = Order.model_construct(lines=[])
    assert there_and_back(order) == order


class Point(msgspec.Struct, frozen=True):
    x: float
    tags: frozenset[str] = frozenset()


def test_structs_come_back_equal_inside_everything_else() -> None:
    value = {"points": [Point(1.5, frozenset({"a"})), Point(2)], "table": np.ones(2)}
    again = there_and_back(value)
    assert again["points"] == value["points"]
    np.testing.assert_array_equal(again["table"], value["table"])
