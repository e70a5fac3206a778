"""What a machine sets for itself is read from its environment."""

from pathlib import Path

import pytest

from defectvision.settings import Settings


def test_a_variable_sets_what_its_name_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("DEFECTVISION_WEIGHTS", str(tmp_path))
    assert Settings().weights == tmp_path
    assert all(field.description for field in Settings.model_fields.values())
