"""Real modules and real installed distributions in a folder of their own."""

import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tailrace.flows.discovery import forget_plugins

Write = Callable[..., Path]


@pytest.fixture(autouse=True)
def _clean_imports(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """Leave ``sys.path`` and ``sys.modules`` as they were, and load plug-ins anew."""
    modules = dict(sys.modules)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TAILRACE_DISCOVERY_MODULES", raising=False)
    monkeypatch.delenv("PYOCO_DISCOVERY_MODULES", raising=False)
    forget_plugins()
    yield
    forget_plugins()
    for name in set(sys.modules) - set(modules):
        del sys.modules[name]
    sys.modules.update(modules)


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write a module: ``write("folder/tasks.py", source)``."""

    def write_file(path: str, source: str) -> Path:
        file = tmp_path / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(textwrap.dedent(source), "utf-8")
        return file

    return write_file


@pytest.fixture
def install(tmp_path: Path, write: Write, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Install a distribution with one module and one entry point."""
    site = tmp_path / "site-packages"
    site.mkdir()
    monkeypatch.syspath_prepend(str(site))

    def install_distribution(name: str, source: str, *, group: str = "tailrace.tasks") -> Path:
        module = name.replace("-", "_")
        write(f"site-packages/{module}.py", source)
        info = f"site-packages/{module}-1.2.dist-info"
        write(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.2\n")
        write(f"{info}/entry_points.txt", f"[{group}]\n{name} = {module}:register\n")
        forget_plugins()
        return site

    return install_distribution
