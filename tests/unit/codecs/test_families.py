"""Values of users' classes come back equal, of the same type, and without running constructors."""

from __future__ import annotations

import enum
import os
import subprocess
import sys
from collections import namedtuple
from collections.abc import Callable
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailrace import Secret
from tailrace.codecs import Encoded, Unencodable, decode, encode, register
from tailrace.errors import StoreError


def there_and_back(value: Any) -> Any:
    encoded = encode(value)
    assert isinstance(encoded, Encoded), encoded
    return decode(encoded.codec, encoded.body)


def reason(value: Any) -> str:
    answer = encode(value)
    assert isinstance(answer, Unencodable), answer
    return answer.reason


class Colour(enum.Enum):
    RED = 1
    SCARLET = 1  # noqa: PIE796 - an alias is what is tested
    BLUE = ("b", 2)


class Access(enum.Flag):
    READ = 1
    WRITE = 2


class Level(enum.IntEnum):
    LOW = 1


class Word(enum.StrEnum):
    YES = "yes"


@dataclass
class Order:
    number: int
    lines: list[Any] = field(default_factory=list)
    colour: Colour = Colour.RED


@dataclass(frozen=True, slots=True)
class Point:
    x: int
    parent: Point | None = None


@dataclass
class Counted:
    number: int
    total: int = field(init=False)

    def __post_init__(self) -> None:
        self.number += 1
        self.total = self.number * 2
        self.seen = {"set"}


class Pair(NamedTuple):
    left: int
    right: str = ""


Old = namedtuple("Old", "a b")  # noqa: PYI024 - a plain named tuple is what is tested


class Struct(msgspec.Struct, frozen=True):
    number: int
    names: list[str] = []


class Shifted(msgspec.Struct, array_like=True):
    number: int

    def __post_init__(self) -> None:
        self.number += 1


class Outer:
    @dataclass
    class Inner:
        x: int


colours = st.sampled_from(Colour) | st.sampled_from(Level) | st.sampled_from(Word)
flags = st.integers(0, 3).map(Access)
leaves = colours | flags | st.integers() | st.text(max_size=4) | st.none() | st.dates()
nested = st.recursive(
    leaves,
    lambda inner: (
        st.builds(Order, st.integers(), st.lists(inner, max_size=3), st.sampled_from(Colour))
        | st.builds(Point, st.integers(), st.none())
        | st.builds(Pair, st.integers(), st.text(max_size=3))
        | st.builds(Old, inner, inner)
        | st.builds(Struct, st.integers(), st.lists(st.text(max_size=3), max_size=3))
        | st.dictionaries(colours, inner, max_size=3)
        | st.lists(inner, max_size=3).map(tuple)
    ),
    max_leaves=12,
)


@given(nested)
def test_what_comes_out_equals_what_went_in_and_is_of_the_same_type(value: Any) -> None:
    again = there_and_back(value)
    assert again == value
    assert type(again) is type(value)


@pytest.mark.parametrize(
    "value", [Colour.BLUE, Colour.SCARLET, Access.READ | Access.WRITE, Access(0), Outer.Inner(1)]
)
def test_members_and_inner_classes_are_found_again(value: Any) -> None:
    again = there_and_back(value)
    assert again == value
    assert type(again) is type(value)
    if isinstance(value, Colour):
        assert again is value


def test_constructors_do_not_change_what_comes_back() -> None:
    counted = there_and_back(Counted(1))
    assert (counted.number, counted.total, counted.seen) == (2, 4, {"set"})
    assert there_and_back(Shifted(1)).number == 2


def test_a_field_that_was_never_set_stays_so() -> None:
    point = object.__new__(Point)
    object.__setattr__(point, "x", 3)
    again = there_and_back(point)
    assert again.x == 3
    assert not hasattr(again, "parent")


def test_a_codec_of_ones_own_comes_first() -> None:
    @dataclass
    class Local:
        x: int

    assert "defined inside a function" in reason(Local(1))
    register(Local, "local-test", to_data=lambda one: one.x, from_data=Local)
    assert there_and_back([Local(7)]) == [Local(7)]


@dataclass
class Rows(dict[str, int]):
    name: str = ""


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ([Order(1, [{"conn": iter(())}])], "[0].lines[0].conn is a tuple_iterator"),
        (Order(1, [Secret("x")]), "lines[0] is a tailrace.model.secret.Secret"),
        (Rows("r"), f"the value is a {__name__}.Rows that is more than its fields"),
    ],
)
def test_what_is_inside_is_named_by_its_place(value: Any, expected: str) -> None:
    assert reason(value).startswith(expected)


def test_a_class_that_another_took_the_name_of_is_refused() -> None:
    hidden = Point(1)
    now = sys.modules[__name__]
    was = now.Point
    now.Point = Pair  # type: ignore[attr-defined]
    try:
        assert "whose name leads to something else" in reason(hidden)
    finally:
        now.Point = was  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("tag", "name"),
    [
        ("dataclass", "decimal:Decimal"),
        ("enum", "decimal:Decimal"),
        ("struct", "decimal:Decimal"),
        ("named-tuple", "decimal:Decimal"),
        ("pydantic", "decimal:Decimal"),
        ("dataclass", "decimal:Gone"),
        ("dataclass", "no_such_module_at_all:Gone"),
        ("enum", "os:getcwd"),
    ],
)
def test_a_class_that_is_gone_or_is_something_else_now_cannot_be_read(tag: str, name: str) -> None:
    body = msgspec.json.encode({"$t": tag, "v": [name, {}]})
    with pytest.raises(StoreError) as caught:
        decode("json-tagged", body)
    assert caught.value.code == "TR507"


def test_a_value_stored_as_a_dataclass_comes_back_as_the_struct_that_its_class_is_now() -> None:
    body = msgspec.json.encode(
        {"$t": "dataclass", "v": [f"{__name__}:Struct", {"number": 3, "names": ["a"]}]}
    )
    assert decode("json-tagged", body) == Struct(3, ["a"])


@pytest.mark.parametrize("tag", ["enum", "dataclass", "numpy", "pandas", "pydantic", "dict"])
def test_tags_of_families_cannot_be_taken(tag: str) -> None:
    with pytest.raises(ValueError, match="belongs to another type"):
        register(Outer, tag, to_data=str, from_data=lambda _: Outer())


SCRIPT = """
import sys
from dataclasses import dataclass
from tailrace.codecs import decode, encode

@dataclass
class Point:
    x: int

if __name__ == "__main__":
    encoded = encode(Point(5))
    sys.stdout.buffer.write(encoded.body)
"""


def test_a_class_of_a_script_is_that_of_the_module_it_can_be_imported_as(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "scripted_point.py").write_text(SCRIPT)
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    command = [sys.executable, "scripted_point.py"]
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, check=True, timeout=60
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    again = decode("json-tagged", done.stdout)
    assert (type(again).__module__, again.x) == ("scripted_point", 5)
    del sys.modules["scripted_point"]


class Model:
    """Keeps its state as pydantic's models do."""

    __pydantic_fields__: dict[str, Any] = {}  # noqa: RUF012 - as in pydantic
    model_fields_set: frozenset[str] = frozenset()

    x: Any
    restored: dict[str, Any]

    def __init__(self, **_: Any) -> None:
        raise AssertionError("values are not validated again")

    def __getstate__(self) -> dict[str, Any]:
        return {
            "__dict__": dict(vars(self)),
            "__pydantic_extra__": None,
            "__pydantic_fields_set__": {"x"},
            "__pydantic_private__": {"_y": 2},
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state["__dict__"], restored=state)


def test_models_that_keep_state_as_pydantic_does_come_back_without_validation() -> None:
    model = object.__new__(Model)
    model.x = {1, 2}
    again = there_and_back(model)
    assert type(again) is Model
    assert again.x == {1, 2}
    assert again.restored["__pydantic_private__"] == {"_y": 2}
    assert again.restored["__pydantic_fields_set__"] == {"x"}


class Dtype:
    def __init__(self, name: str) -> None:
        self.hasobject = name == "object"

    def __eq__(self, other: object) -> bool:
        return other is object and self.hasobject

    __hash__ = object.__hash__


class Array:
    def __init__(self, values: list[Any], dtype: str = "int") -> None:
        self.values, self.dtype, self.shape = values, Dtype(dtype), (len(values),)

    def ravel(self) -> Any:
        return self

    def reshape(self, _: Any) -> Any:
        return self

    def tolist(self) -> list[Any]:
        return self.values

    def __setitem__(self, index: int, value: Any) -> None:
        self.values[index] = value

    def __getitem__(self, _: tuple[()]) -> Any:
        return Scalar(self.values[0])


class Scalar:
    def __init__(self, value: int) -> None:
        self.value = value


def save(buffer: BytesIO, array: Any, *, allow_pickle: bool) -> None:
    assert not allow_pickle
    buffer.write(bytes(array.values))


def load(buffer: BytesIO, *, allow_pickle: bool) -> Any:
    assert not allow_pickle
    return Array(list(buffer.read()))


@pytest.fixture
def numpy(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Put a module with the few names of numpy in place that its arrays are stored with."""
    module: Any = ModuleType("numpy")
    for kind in (Array, Scalar):
        monkeypatch.setattr(kind, "__module__", "numpy")
    module.ndarray, module.generic = Array, Scalar
    module.asarray = lambda scalar: Array([scalar.value])
    module.empty = lambda length, dtype: Array([None] * length, dtype.__name__)
    module.save, module.load = save, load
    monkeypatch.setitem(sys.modules, "numpy", module)
    return module


def test_arrays_and_scalars_go_through_the_librarys_own_format(numpy: Any) -> None:
    assert there_and_back(numpy.ndarray([1, 2])).values == [1, 2]
    assert there_and_back(numpy.generic(7)).value == 7
    again = there_and_back(numpy.ndarray([{1}, None], "object"))
    assert again.values == [{1}, None]
    assert again.dtype.hasobject


@pytest.fixture
def pandas(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Put a module in place with one index of pandas, which loses its name when ``name`` is x."""
    module: Any = ModuleType("pandas")

    class RangeIndex:
        def __init__(self, start: int, stop: int, step: int, name: str | None = None) -> None:
            self.start, self.stop, self.step = start, stop, step
            self.name = None if name == "x" else name

    class NAType:
        pass

    RangeIndex.__module__ = NAType.__module__ = "pandas"
    module.RangeIndex, module.NA = RangeIndex, NAType()

    def check(made: Any, value: Any, **_: Any) -> None:
        if vars(made) != vars(value):
            raise AssertionError

    testing: Any = ModuleType("pandas.testing")
    testing.assert_frame_equal = testing.assert_series_equal = testing.assert_index_equal = check
    module.testing = testing
    monkeypatch.setitem(sys.modules, "pandas", module)
    return module


def test_indexes_come_back_and_what_would_not_come_back_equal_is_refused(pandas: Any) -> None:
    make: Callable[..., Any] = pandas.RangeIndex
    assert vars(there_and_back(make(0, 9, 3, name="n"))) == vars(make(0, 9, 3, name="n"))
    assert there_and_back([pandas.NA])[0] is pandas.NA
    lost = make(0, 9, 3)
    lost.name = "x"
    assert "that its parts do not make up again" in reason(lost)


def test_sets_are_written_alike_in_every_process() -> None:
    code = (
        "import sys; from tailrace.codecs import encode; "
        "sys.stdout.buffer.write(encode([{'a','b','c','d'}, frozenset({1, 'x', None})]).body)"
    )
    bodies = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            check=True,
            timeout=60,
        ).stdout
        for seed in ("1", "2", "3")
    }
    assert len(bodies) == 1
