"""What several tests need."""

from pathlib import Path

import pytest

from defectvision.settings import settings


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The real images beside the checkout; a test that needs them is skipped without."""
    folder = Path(__file__).resolve().parents[1].parent / "shared" / "data"
    if not (folder / "README.md").is_file():
        pytest.skip(f"no real images at {folder}")
    return folder


@pytest.fixture(autouse=True)
def settings_of_the_moment() -> None:
    """A process reads its settings once; a test that sets the environment is one of many in it."""
    settings.cache_clear()
