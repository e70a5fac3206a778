"""What a machine sets for itself is read from its environment."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from defectvision.settings import ROOT, Settings, SettingsError, settings


@pytest.fixture(autouse=True)
def read_anew():
    settings.cache_clear()
    yield
    settings.cache_clear()


def test_a_variable_sets_what_its_name_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("DEFECTVISION_WEIGHTS", str(tmp_path))
    assert Settings().weights == tmp_path
    assert all(field.description for field in Settings.model_fields.values())


def test_an_empty_variable_is_as_good_as_none(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("DEFECTVISION_API_TOKENS", "")
    monkeypatch.setenv("DEFECTVISION_STORE", "")
    assert settings().api_tokens == {} and settings().store.is_absolute()


@pytest.mark.parametrize(
    ("variable", "value", "words"),
    [
        ("API_TOKENS", '{"line-3": ""}', "fewer than 8 characters"),
        ("API_TOKENS", '{"mes": "hush-hush", "line-3": "hush"}', "token 2 of 2 has fewer"),
        ("API_TOKENS", '{"hush-hush": "hush"}', "token 1 of 1 has fewer"),
        ("API_TOKENS", '{"line-3": "            "}', "holds a blank"),
        ("API_TOKENS", '{"line-3": "hush-hush "}', "holds a blank"),
        ("API_TOKENS", '{"line-3": "\u200b\u200b\u200b\u200b\u200b\u200b\u200b\u200b"}', "printed"),
        ("API_TOKENS", '{" ": "hush-hush"}', "has no name"),
        ("API_TOKENS", '["hush-hush"]', "valid dictionary"),
        ("API_TOKENS", '{"line-3": "hush-hu', "not written as JSON"),
        ("API_TOKENS", '{"line-3": null, "hush": 5}', "valid string"),
        ("PORT", "hush", "valid integer"),
        ("MAX_UPLOAD_MB", "-77", "greater than 0"),
        ("SOURCE_ROOTS", '["/hush", " "]', "a folder is empty"),
        ("DATA_SETS", '{"hush": ""}', "a folder is empty"),
    ],
)
def test_a_setting_that_opens_too_much_is_refused_without_a_word_of_its_value(
    variable: str, value: str, words: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv(f"DEFECTVISION_{variable}", value)
    with pytest.raises(SettingsError) as refused:
        settings()
    said = str(refused.value)
    assert f"DEFECTVISION_{variable}: " in said and words in said
    assert "hush" not in said and "77" not in said
    assert refused.value.__cause__ is None and refused.value.__context__ is None


@pytest.mark.parametrize("command", [["defectvision.cli", "serve"], ["streamlit", "run", "app.py"]])
def test_a_server_with_a_token_that_anybody_guesses_does_not_start(command: list[str]):
    done = subprocess.run(
        [sys.executable, "-m", *command],
        cwd=ROOT,
        env=os.environ | {"DEFECTVISION_API_TOKENS": '{"line-3": "hush"}'},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode != 0
    assert "DEFECTVISION_API_TOKENS: token 1 of 1 has fewer" in " ".join(done.stderr.split())
    assert "hush" not in done.stdout + done.stderr and "Traceback" not in done.stderr
