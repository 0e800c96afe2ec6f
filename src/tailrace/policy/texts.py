"""Each problem of a policy in Japanese, for the table in the Japanese readme."""

from __future__ import annotations

from collections.abc import Mapping

JAPANESE: Mapping[str, str] = {
    "TR170": "値が範囲外か、型が違います。メッセージに、項目・書かれた値・使える値が出ます。",
    "TR171": "知らないキーです。メッセージに、使えるキーと最も近い名前が出ます。",
    "TR172": "二つの値が矛盾しています(例: max_delay が delay より短い)。",
    "TR173": "必要な値がありません(例: action: goto に target がない)。",
    "TR174": "警告: 使えますが、意図と違う可能性があります(例: timeout のないリトライ)。",
}
"""Code of a problem to its meaning in Japanese."""
