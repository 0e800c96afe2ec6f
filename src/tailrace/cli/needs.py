"""Packages of an extra that a command needs."""

from __future__ import annotations

from importlib.util import find_spec

from tailrace.errors import SettingsError

_DISTRIBUTED = {
    "fastapi": "fastapi",
    "nats": "nats-py",
    "prometheus_client": "prometheus-client",
    "python_multipart": "python-multipart",
    "uvicorn": "uvicorn",
}


def demand_distributed(what: str) -> None:
    """Refuse to go on without what gateways and workers are made of.

    Raises:
        SettingsError: a package is missing (TR197).
    """
    _demand(what, _DISTRIBUTED, "distributed")


def demand_client(what: str) -> None:
    """Refuse to go on without what HTTP is spoken with.

    Raises:
        SettingsError: it is missing (TR197).
    """
    _demand(what, {"httpx": "httpx"}, "client")


def _demand(what: str, packages: dict[str, str], extra: str) -> None:
    missing = [name for module, name in packages.items() if find_spec(module) is None]
    if missing:
        raise SettingsError(
            f"{what} needs {', '.join(missing)}, which {'is' if len(missing) == 1 else 'are'}"
            " not installed",
            code="TR197",
            hint=f"pip install 'tailrace[{extra}]'",
            details={"missing": missing},
        )
