"""Finding the store from the working directory upwards, as git finds its repository."""

from __future__ import annotations

from pathlib import Path

DATABASE = Path(".tailrace") / "tailrace.db"


def find_database(start: Path) -> Path | None:
    """Return the nearest ``.tailrace/tailrace.db`` in ``start`` or a folder above; else None."""
    folder = start.absolute()
    for candidate in (folder, *folder.parents):
        path = candidate / DATABASE
        if path.is_file():
            return path
    return None
