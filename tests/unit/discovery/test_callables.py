"""Any Python callable as a task."""

import functools
import math
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from tailrace import task
from tailrace.errors import DefinitionError
from tailrace.flows.discovery import describe_task, make_spec
from tailrace.model import CallKind


def plain(rows: list[int], *, limit: int = 3) -> list[int]:
    """Keep the first rows.

    Args:
        rows: what to keep,
            on two lines.
        limit: how many.

    Returns:
        limit: no parameter this.
    """
    return rows[:limit]


async def waiting() -> None: ...


def yielding() -> Iterator[int]:
    yield 1


async def streaming() -> AsyncIterator[int]:
    yield 1


class Cleaner:
    """Cleans."""

    def __call__(self, row: str) -> str:
        return row

    async def later(self) -> None: ...

    @classmethod
    def made(cls) -> None: ...

    @staticmethod
    def still() -> None: ...


class AsyncCleaner:
    async def __call__(self) -> None: ...


class StreamCleaner:
    def __call__(self) -> Iterator[int]:
        yield 1


class Runner:
    """Runs."""

    def __init__(self, factor: int = 2) -> None:
        self.factor = factor

    def run(self, n: int) -> int:
        return n * self.factor


class Demanding:
    def __init__(self, factor: int) -> None: ...

    def run(self) -> None: ...


@dataclass
class OldTask:
    """The shape of a task of the older package."""

    func: Callable[..., Any]
    name: str
    inputs: dict[str, Any] = field(default_factory=dict)
    outputs: list[str] = field(default_factory=list)
    retries: int = 0
    timeout_sec: float | None = None
    fail_policy: str = "stop"


class OldWrapper:
    """The shape of what the older package's decorator gives."""

    def __init__(self, inner: OldTask) -> None:
        self.task = inner

    def __call__(self) -> "OldWrapper":
        return self


class OldBaseTask:
    """The shape of a task class of the older package."""

    run = OldWrapper(OldTask(lambda self, ctx: (self, ctx), "run"))


@task(name="public", inputs={"n": 1})
def decorated(n: int) -> int:
    return n


_decorate = functools.partial(plain, limit=1)

HERE = __name__


@pytest.mark.parametrize(
    ("function", "name", "reference", "kind"),
    [
        (plain, "plain", f"{HERE}:plain", CallKind.SYNC),
        (waiting, "waiting", f"{HERE}:waiting", CallKind.ASYNC),
        (yielding, "yielding", f"{HERE}:yielding", CallKind.GENERATOR),
        (streaming, "streaming", f"{HERE}:streaming", CallKind.ASYNC_GENERATOR),
        (_decorate, "plain", f"<partial {HERE}:plain>", CallKind.SYNC),
        (functools.partial(waiting), "waiting", f"<partial {HERE}:waiting>", CallKind.ASYNC),
        (lambda: 1, "lambda", f"<lambda {HERE}>", CallKind.SYNC),
        (Cleaner(), "Cleaner", f"<{HERE}:Cleaner object>", CallKind.SYNC),
        (AsyncCleaner(), "AsyncCleaner", f"<{HERE}:AsyncCleaner object>", CallKind.ASYNC),
        (StreamCleaner(), "StreamCleaner", f"<{HERE}:StreamCleaner object>", CallKind.GENERATOR),
        (Cleaner().later, "later", f"<method {HERE}:Cleaner.later>", CallKind.ASYNC),
        (Cleaner.made, "made", f"{HERE}:Cleaner.made", CallKind.SYNC),
        (Cleaner.still, "still", f"{HERE}:Cleaner.still", CallKind.SYNC),
        (Cleaner.__dict__["still"], "still", f"{HERE}:Cleaner.still", CallKind.SYNC),
        (len, "len", "builtins:len", CallKind.SYNC),
        (math.sqrt, "sqrt", "math:sqrt", CallKind.SYNC),
        ([].append, "append", "builtins:list.append", CallKind.SYNC),
        (dict, "dict", "builtins:dict", CallKind.SYNC),
        (Runner, "Runner", f"<method {HERE}:Runner.run>", CallKind.SYNC),
        (Runner(3), "Runner", f"<method {HERE}:Runner.run>", CallKind.SYNC),
    ],
)  # fmt: skip
def test_every_kind_of_callable_is_a_task(
    function: Any, name: str, reference: str, kind: CallKind
) -> None:
    spec = make_spec(function)

    assert (spec.name, spec.reference, spec.kind) == (name, reference, kind)


def test_a_local_function_is_described_without_a_place() -> None:
    def inner() -> None: ...

    expected = "test_a_local_function_is_described_without_a_place.inner"
    assert make_spec(inner).reference == f"<function {HERE}:{expected}>"


def test_a_name_given_goes_before_the_own_one() -> None:
    assert make_spec(plain, name="other").name == "other"
    assert make_spec(decorated, name="other").name == "other"


@pytest.mark.parametrize("value", [1, None, "text", object()])
def test_what_cannot_be_called_is_refused(value: Any) -> None:
    with pytest.raises(DefinitionError, match="cannot be called") as caught:
        make_spec(value)

    assert caught.value.code == "TR164"


def test_a_task_class_that_needs_arguments_is_refused_with_the_cause() -> None:
    with pytest.raises(
        DefinitionError, match=r"cannot be made without arguments.*factor"
    ) as caught:
        make_spec(Demanding)

    assert caught.value.code == "TR164"


def test_a_run_method_runs_on_its_object() -> None:
    assert make_spec(Runner(3)).function(2) == 6
    assert make_spec(Runner).function(2) == 4


def test_a_decorated_task_keeps_what_it_declares() -> None:
    spec = make_spec(decorated.with_outputs("scratch.n"))

    assert (spec.name, spec.inputs, spec.outputs) == ("public", {"n": 1}, ("scratch.n",))
    assert spec.function(5) == 5


def test_a_task_object_of_the_older_package_runs_as_it_is() -> None:
    old = OldTask(plain, "old", {"limit": 1}, ["scratch.x"], retries=2, timeout_sec=5)

    for candidate in (old, OldWrapper(old)):
        spec = make_spec(candidate)
        assert (spec.name, spec.function, spec.inputs) == ("old", plain, {"limit": 1})
        assert spec.outputs == ("scratch.x",)
        assert spec.policy is not None
        assert (spec.policy.retry.max_attempts, spec.policy.timeout) == (2, 5)


def test_an_isolated_task_of_the_older_package_stays_isolated() -> None:
    spec = make_spec(OldTask(plain, "old", fail_policy="isolate"))

    assert spec.policy is not None
    assert spec.policy.on_error.action == "isolate"


def test_a_decorated_run_method_of_the_older_package_is_bound() -> None:
    spec = make_spec(OldBaseTask)

    owner, ctx = spec.function("ctx")
    assert isinstance(owner, OldBaseTask)
    assert ctx == "ctx"
    assert spec.name == "OldBaseTask"


def test_a_task_is_described_by_its_signature_and_docstring() -> None:
    info = describe_task(make_spec(plain))

    rows, limit = info.parameters
    assert info.summary == "Keep the first rows."
    assert (rows.name, rows.type, rows.required, rows.default) == ("rows", "list[int]", True, None)
    assert rows.doc == "what to keep, on two lines."
    assert (limit.name, limit.required, limit.default, limit.doc) == (
        "limit",
        False,
        "3",
        "how many.",
    )
    assert info.returns == "list[int]"


def test_a_task_without_signature_or_documentation_is_described_too() -> None:
    def anything(*args, ctx=None, **options):  # type: ignore[no-untyped-def]  # noqa: ANN002, ANN003 - untyped on purpose
        pass

    info = describe_task(make_spec(anything))

    assert [parameter.name for parameter in info.parameters] == ["*args", "**options"]
    assert not any(parameter.required for parameter in info.parameters)
    assert info.summary == info.doc == info.returns == ""


def test_field_lists_in_a_docstring_are_read() -> None:
    def old_style(a: int, b: str) -> None:
        """Do it.

        :param a: the first
            of two
        :param str b: the second
        :returns: nothing
        """

    first, second = describe_task(make_spec(old_style)).parameters
    assert (first.doc, second.doc) == ("the first of two", "the second")
