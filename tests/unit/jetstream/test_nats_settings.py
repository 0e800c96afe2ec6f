from __future__ import annotations

from pathlib import Path

import pytest

from tailrace.errors import SettingsError
from tailrace.jetstream.access import address_of, limits_of, names_of
from tailrace.settings import load_settings


def test_settings_say_where_nats_is_and_how_streams_are_made(tmp_path: Path) -> None:
    (tmp_path / "tailrace.toml").write_text(
        '[nats]\nurl = "nats://a:1 tls://b:2"\nprefix = "shop"\nack_wait = 2\n'
        'letter_size = "1GB"\nkeep_days = 0.5\n'
    )
    settings = load_settings(tmp_path, environ={"TAILRACE_NATS_TOKEN": "hush"})
    address = address_of(settings.nats, name="w1")
    assert (address.urls, address.token) == (("nats://a:1", "tls://b:2"), "hush")
    assert address.name == "w1"
    assert names_of(settings.nats).runs == "shop-runs"
    limits = limits_of(settings.nats)
    assert (limits.ack_wait, limits.letter_bytes, limits.keep_days) == (2.0, 1 << 30, 0.5)


def test_secrets_are_not_shown(tmp_path: Path) -> None:
    environ = {"TAILRACE_NATS_URL": "nats://ann:hush@h:1", "TAILRACE_NATS_PASSWORD": "hush"}
    settings = load_settings(tmp_path, environ=environ)
    assert "hush" not in "".join(str(settings.shown(key)) for key in settings.origins)
    assert settings.shown("nats.url") == ("nats://h:1",)
    assert settings.shown("nats.user") == ""


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("URL", "somewhere"),
        ("URL", "nats://"),
        ("PREFIX", "a.b"),
        ("PREFIX", "x" * 65),
        ("REPLICAS", "0"),
        ("ACK_WAIT", "0"),
        ("TIMEOUT", "forever"),
        ("LETTER_SIZE", "1"),
    ],
)
def test_a_setting_out_of_its_bounds_is_refused(tmp_path: Path, key: str, value: str) -> None:
    with pytest.raises(SettingsError, match=f"TAILRACE_NATS_{key}"):
        load_settings(tmp_path, environ={f"TAILRACE_NATS_{key}": value})
