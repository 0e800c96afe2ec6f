"""Secrets that users wrap, and rules of their own."""

from __future__ import annotations

import copy
import pickle
import re
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailrace.codecs import Unencodable, encode
from tailrace.errors import SettingsError
from tailrace.model import secret as secrets
from tailrace.tracing.redact import Secret, is_secret, redact_text, use_rules


@pytest.fixture(autouse=True)
def no_rules_left() -> Iterator[None]:
    yield
    use_rules(())


def test_a_secret_is_never_shown_but_can_be_revealed() -> None:
    secret: Secret[str] = Secret("hunter2")
    shown = [
        repr(secret),
        str(secret),
        f"{secret}",
        f"{secret!r:>40}",
        "%s" % secret,  # noqa: UP031 - every way to print counts
        repr([secret]),
    ]
    assert all("hunter2" not in text for text in shown)
    assert secret.reveal() == "hunter2"


def test_a_secret_compares_and_travels_like_its_value() -> None:
    secret = Secret("hunter2")
    assert secret == Secret("hunter2") != Secret("other")
    assert hash(secret) == hash(Secret("hunter2"))
    assert secret not in ("hunter2", None)
    assert pickle.loads(pickle.dumps(secret)) == secret  # noqa: S301 - made one line above
    assert copy.deepcopy(secret) == secret


def test_a_secret_is_not_stored_in_a_checkpoint() -> None:
    answer = encode({"a": Secret("hunter2")})
    assert isinstance(answer, Unencodable)
    assert "hunter2" not in answer.reason


def test_further_names_are_secret_by_rule() -> None:
    assert not is_secret("iban", "DE01")
    use_rules([r"^iban$", "tax_.*"])
    assert is_secret("IBAN", "DE01")
    assert is_secret("tax_number", 7)
    assert is_secret("password", "x")
    assert redact_text("iban=DE01 name=me") == "iban=[redacted] name=me"
    use_rules(())
    assert not is_secret("iban", "DE01")


def test_a_rule_that_is_no_pattern_is_refused() -> None:
    with pytest.raises(SettingsError, match=r"redact: '\(' is no regular expression") as caught:
        use_rules(["("])
    assert caught.value.code == "TR193"


def test_none_and_booleans_give_nothing_away() -> None:
    assert not is_secret("password", None)
    assert not is_secret("has_password", value=True)
    assert is_secret("password", 1234)


_NAMES = re.compile(rf"[\w.-]{{0,9}}(?:{secrets._WORDS}|[_-](?:pwd|auth)\Z)", re.IGNORECASE)


@given(st.from_regex(_NAMES, fullmatch=True), st.sampled_from(["=", ": ", "': '", '" = "']))
def test_a_value_after_any_secret_name_is_hidden(name: str, between: str) -> None:
    assert "hunter2" not in redact_text(f"it failed with {name}{between}hunter2hunter2")


TOKENS = [
    "ghp_" + "a1B2" * 9,
    "gho_" + "a1B2" * 9,
    "github_pat_11ABCDEFG0" + "x9_y" * 12,
    "AKIAIOSFODNN7EXAMPLE",
    "ASIAIOSFODNN7EXAMPLE",
    "xoxb-1234567890-abcdefABCDEF",
    "xoxe.xoxp-1-Mi0yLTEyMzQ1Njc4OTA",
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.SflKxwRJSMeKKF2QT4fwpMeJf36POk6yJV",
    "eyJhbGciOiJub25lIn0.eyJzdWIiOiIxMjM0In0.",
    "sk-proj-abcDEF123456ghiJKL789012",
    "sk-" + "a1B2" * 12,
]


@pytest.mark.parametrize("token", TOKENS)
@pytest.mark.parametrize("around", ["{}", "answered {}!", "('{}',)", "from https://x.example/{}/a"])
def test_a_token_of_well_known_shape_is_hidden_under_any_name(token: str, around: str) -> None:
    text = around.format(token)
    assert redact_text(text) == around.format("[redacted]")


@pytest.mark.parametrize(
    "text",
    [
        "task-12345678901234567890 is late",
        "disk-a1b2c3d4e5f6a7b8c9d0 is full",
        "use sk-learn-and-many-more-words-of-prose",
        "highlight_of_the_whole_evening_and_night_1",
        "AKIA is a prefix, ASIAN_CUISINE_AND_MORE_1 a word",
        "MAKIAIOSFODNN7EXAMPLE",
        "eyJabcdef alone",
        "xox-",
    ],
)
def test_words_that_only_look_like_a_token_are_shown(text: str) -> None:
    assert redact_text(text) == text


@given(st.text(), st.sampled_from(TOKENS), st.text())
def test_no_text_around_a_token_shows_it_and_redacting_twice_changes_nothing(
    before: str, token: str, after: str
) -> None:
    shown = redact_text(f"{before} {token} {after}")
    assert token not in shown
    assert redact_text(shown) == shown
