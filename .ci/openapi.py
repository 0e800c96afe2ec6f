"""Write ``docs/openapi.json``, the frozen description of the gateway's HTTP calls."""

from __future__ import annotations

import json
from pathlib import Path

from tailrace.gateway.app import documentation

FILE = Path(__file__).resolve().parent.parent / "docs" / "openapi.json"

if __name__ == "__main__":
    text = json.dumps(documentation().openapi(), indent=2, ensure_ascii=False)
    FILE.write_text(text + "\n", "utf-8")
