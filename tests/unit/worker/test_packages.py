"""Flows that installed packages bring, by their entry points."""

from __future__ import annotations

from pathlib import Path

import pytest

from tailrace.errors import DefinitionError
from tailrace.worker.catalogue import Catalogue, collect

FLOWS = """
from tailrace import Flow, task

@task
def greet():
    return "from a package"

hello = Flow("hello", greet)
number = 7
"""


def install(folder: Path, name: str, *targets: str) -> None:
    """Lay a package's module and metadata out as an installer does."""
    (folder / f"{name}.py").write_text(FLOWS)
    info = folder / f"{name}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    lines = [f"entry{number} = {target}" for number, target in enumerate(targets)]
    (info / "entry_points.txt").write_text("\n".join(["[tailrace.flows]", *lines, ""]))


def test_flows_of_installed_packages_are_served(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(tmp_path, "acme_served", "acme_served:hello")
    monkeypatch.syspath_prepend(tmp_path)
    catalogue = Catalogue(collect([], []))
    assert catalogue.names == ("hello",)
    assert catalogue.find("hello").name == "hello"


@pytest.mark.parametrize(
    ("package", "target", "code"),
    [
        ("acme_number", "acme_number:number", "TR119"),
        ("acme_absent", "acme_absent:nothing", "TR162"),
        ("acme_module", "no_such_module_of_acme:hello", "TR162"),
    ],
)
def test_an_entry_point_that_is_no_flow_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, package: str, target: str, code: str
) -> None:
    install(tmp_path, package, target)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(DefinitionError, match=target) as caught:
        collect([], [])
    assert caught.value.code == code
