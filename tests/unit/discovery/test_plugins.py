"""Plug-ins of really installed distributions, and modules the operator allows."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tailrace.errors import DefinitionError
from tailrace.flows.discovery import (
    allowed_modules,
    find_task,
    forget_plugins,
    lint_plugins,
    list_plugins,
    list_tasks,
    resolve_use,
)
from tailrace.flows.discovery.plugins import PluginReport
from tailrace.model import Severity

Write = Callable[..., Path]
Install = Callable[..., Path]

WAREHOUSE = """
class Load:
    '''Load rows.'''

    def __init__(self, table="t"):
        self.table = table

    def run(self, rows, limit=10):
        return self.table, rows[:limit]

def count(rows):
    return len(rows)

def register(registry):
    registry.task_class(Load, "weather", name="warehouse/load")
    given = {"rows": "$payload"}
    registered = registry.register_callable(count, name="warehouse/count", inputs=given)
    registered.outputs.append("scratch.count")

    @registry.task
    def bare(): ...

    @registry.task(name="warehouse/named", outputs=["scratch.x"])
    def named(): ...

    registry.add(count)
    registry.task_info(
        name="warehouse/load",
        summary="Loads rows into the warehouse.",
        inputs=[{"name": "rows", "type": "list", "required": True, "constraints": ["not empty"]}],
        outputs=[],
        usage="use: warehouse/load",
        tags=["db"],
    )
"""


def _report(name: str) -> PluginReport:
    (report,) = [report for report in list_plugins() if report.name == name]
    return report


def test_every_way_to_register_gives_a_task(install: Install) -> None:
    install("ware-house", WAREHOUSE)

    report = _report("ware-house")
    assert report.error == ""
    assert report.tasks == ("warehouse/load", "warehouse/count", "bare", "warehouse/named", "count")
    assert (report.distribution, report.version) == ("ware-house", "1.2")

    load, count = resolve_use("warehouse/load"), resolve_use("warehouse/count")
    assert load.function([1, 2], limit=1) == ("weather", [1])
    assert load.origin == "plugin:ware-house"
    assert (count.inputs, count.outputs) == ({"rows": "$payload"}, ("scratch.count",))
    assert resolve_use("warehouse/named").outputs == ("scratch.x",)


def test_plugins_of_the_older_group_are_found_once(install: Install) -> None:
    site = install("old-tasks", "def hello(): return 1\ndef register(r): r.add(hello)\n")
    entries = site / "old_tasks-1.2.dist-info" / "entry_points.txt"
    line = "old-tasks = old_tasks:register\n"
    entries.write_text(f"[pyoco.tasks]\n{line}[tailrace.tasks]\n{line}", "utf-8")
    forget_plugins()

    assert resolve_use("hello").function() == 1
    assert _report("old-tasks").group == "tailrace.tasks"


def test_what_a_plugin_declares_is_shown(install: Install) -> None:
    install("ware-house", WAREHOUSE)

    info = find_task("warehouse/load")

    assert info.summary == "Loads rows into the warehouse."
    assert (info.usage, info.tags) == ("use: warehouse/load", ("db",))
    (rows,) = info.parameters
    assert (rows.name, rows.type, rows.required, rows.doc) == ("rows", "list", True, "not empty")


def test_tasks_are_listed_by_name(install: Install) -> None:
    install("ware-house", WAREHOUSE)

    names = [info.name for info in list_tasks()]

    assert names == sorted(names)
    assert "warehouse/load" in names


@pytest.mark.parametrize(
    ("source", "cause"),
    [
        ("import not_installed_anywhere\n", "ModuleNotFoundError: No module named"),
        ("def register(registry): raise RuntimeError('no licence')\n", "RuntimeError: no licence"),
        ("register = 5\n", "TypeError: broken:register is no function"),
        ("raise SystemExit(1)\n", "SystemExit"),
        ("def register(registry): registry.add(5)\n", "cannot be called"),
        ("def register(registry): registry.task_class(5)\n", "needs a class"),
        ("def register(registry): registry.task_info(name='x')\n", "lacks summary, inputs"),
        (
            "def register(r): r.task_info(name='x', summary='s', inputs=[{}], outputs=[])\n",
            "name, type or required of an item of inputs",
        ),
        ("def nothing(): ...\n", "AttributeError"),
    ],
)  # fmt: skip
def test_a_broken_plugin_is_named_and_takes_no_other_down(
    install: Install, source: str, cause: str
) -> None:
    install("broken", source)
    install("sound", "def fine(): return 'fine'\ndef register(r): r.add(fine)\n")

    assert cause in _report("broken").error
    assert resolve_use("fine").function() == "fine"
    (finding,) = lint_plugins()
    assert finding.code == "TR167"
    assert finding.severity is Severity.ERROR
    assert "plug-in 'broken' of broken 1.2 (broken:register): cannot be used" in finding.message


def test_an_unknown_name_tells_the_nearest_and_what_is_broken(install: Install) -> None:
    install("broken", "import not_installed_anywhere\n")
    install("ware-house", WAREHOUSE)

    with pytest.raises(DefinitionError) as caught:
        resolve_use("warehouse/laod")

    assert caught.value.code == "TR166"
    assert "did you mean 'warehouse/load'?" in caught.value.message
    assert "broken plug-ins: broken" in caught.value.message


def test_a_name_that_two_plugins_use_is_refused(install: Install) -> None:
    install("one", "def load(): ...\ndef register(r): r.add(load)\n")
    install("two", "def load(): ...\ndef register(r): r.add(load)\n")

    with pytest.raises(DefinitionError) as caught:
        resolve_use("load")

    assert caught.value.code == "TR168"
    assert "'one' (one:load), 'two' (two:load)" in caught.value.message
    assert [finding.code for finding in lint_plugins()] == ["TR168"]


def test_one_function_offered_by_two_plugins_is_one_task(install: Install) -> None:
    install("one", "def load(): ...\ndef register(r): r.add(load)\n")
    install("two", "from one import load\ndef register(r): r.add(load)\n")

    assert resolve_use("load").reference == "one:load"
    assert lint_plugins() == []


def test_suspicious_plugins_give_warnings(install: Install) -> None:
    install("empty", "def register(registry): ...\n")
    install(
        "twice",
        """
        def load(): ...
        def register(registry):
            registry.add(load)
            registry.add(load)
            registry.task_info(name="nope", summary="s", inputs=[], outputs=[])
        """,
    )

    findings = lint_plugins()

    assert {finding.severity for finding in findings} == {Severity.WARNING}
    messages = " | ".join(finding.message for finding in findings)
    assert "it registers no task" in messages
    assert "it registers 'load' twice" in messages
    assert "it describes 'nope', which it does not register" in messages


def test_modules_the_operator_allows_are_searched(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(
        "lib/house_tasks.py",
        """
        from tailrace import task

        class Old:
            def __init__(self, func, name):
                self.func, self.name, self.inputs, self.outputs = func, name, {}, []

        @task(name="house/clean")
        def clean(rows): return rows

        kept = Old(lambda: "old", "inner name")
        def helper(): ...
        """,
    )
    monkeypatch.syspath_prepend(str(tmp_path / "lib"))
    monkeypatch.setenv("TAILRACE_DISCOVERY_MODULES", "house_tasks, not_there")
    monkeypatch.setenv("PYOCO_DISCOVERY_MODULES", "house_tasks also_not_there")

    assert allowed_modules() == ("house_tasks", "not_there", "also_not_there")
    assert _report("house_tasks").tasks == ("house/clean", "kept")
    assert resolve_use("kept").function() == "old"
    assert "there is no module 'not_there'" in _report("not_there").error
    assert sum(finding.code == "TR167" for finding in lint_plugins()) == 2
