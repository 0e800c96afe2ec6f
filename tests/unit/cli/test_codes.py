import re
from pathlib import Path

import pytest

import tailrace
from tailrace.cli.main import main
from tailrace.errors.codes import catalogue, nearest_codes

SOURCE = Path(tailrace.__file__).parent
CODE = re.compile(r'"(TR\d{3})"')


def codes_in_source() -> set[str]:
    return {code for file in SOURCE.rglob("*.py") for code in CODE.findall(file.read_text("utf-8"))}


def test_every_code_that_is_raised_is_explained() -> None:
    assert codes_in_source() - set(catalogue()) == set()


def test_no_code_is_explained_that_nothing_raises() -> None:
    assert set(catalogue()) - codes_in_source() == set()


@pytest.mark.parametrize("code", sorted(catalogue()))
def test_every_explanation_is_whole(code: str) -> None:
    entry = catalogue()[code]
    assert re.fullmatch(r"TR\d{3}", entry.code)
    assert entry.title == entry.title.rstrip(".")
    assert not entry.title_ja.isascii()
    assert entry.text.endswith(".")
    assert entry.mend.endswith(".")


def test_a_code_is_explained_in_either_language(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", "tr104", "--lang", "en"]) == 0
    assert capsys.readouterr().out.startswith("TR104: the file is no valid YAML\n")
    assert main(["explain", "TR104", "--lang", "ja"]) == 0
    assert capsys.readouterr().out.startswith("TR104: YAMLとして正しくありません\n")


def test_the_language_follows_the_locale(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LC_ALL", "ja_JP.UTF-8")
    assert main(["explain", "TR104"]) == 0
    assert "YAMLとして" in capsys.readouterr().out


def test_all_codes_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == len(catalogue()) + 1


def test_an_unknown_code_names_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", "TR1044"]) == 3
    assert "TR104" in capsys.readouterr().err
    assert "TR104" in nearest_codes("104")
