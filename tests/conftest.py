"""What several tests need."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings

from defectvision.audit.workers import ONE_THREAD
from defectvision.settings import settings
from tests.stand_ins.object_store import s3 as s3
from tests.stand_ins.postgres import postgres as postgres

# As many tests run at once as there are cores, and what they start runs beside them. OpenMP's
# threads wait for each other without letting go of their core: two each cost three times the time.
for name, one in ONE_THREAD.items():
    os.environ.setdefault(name, one)

# Property tests try the same examples every time, so that `make test` always answers the same;
# `make fuzz` tries others each time, again and again for some minutes; what fails is printed with
# the line that reproduces it. A slow machine is no failure of either.
for name, examples in {"same": 60, "fuzz": 300}.items():
    hypothesis_settings.register_profile(
        name,
        derandomize=name == "same",
        max_examples=examples,
        deadline=None,
        print_blob=True,
        suppress_health_check=list(HealthCheck),
    )
hypothesis_settings.load_profile(os.environ.get("DEFECTVISION_TESTS", "same"))


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The real images beside the checkout; a test that needs them is skipped without."""
    folder = Path(__file__).resolve().parents[1].parent / "shared" / "data"
    if not (folder / "README.md").is_file():
        pytest.skip(f"no real images at {folder}")
    return folder


@pytest.fixture(autouse=True, scope="session")
def quick(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    from tests.stand_ins.quick import quick_stores

    with quick_stores(tmp_path_factory.mktemp("made")):
        yield


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of lines with one bundle of casting."""
    from tests.stand_ins.bundles import write_bundle  # many tests do without its packages

    folder = tmp_path_factory.mktemp("weights")
    write_bundle(folder, "casting", "resnet50")
    return folder


def _forget_accelerator() -> None:
    """The first training of a process decides on its precision; tests run many in one."""
    if state := sys.modules.get("accelerate.state"):
        state.AcceleratorState._reset_state(reset_partial_state=True)


@pytest.fixture(autouse=True, scope="module")
def first_training_of_a_module() -> None:
    _forget_accelerator()


@pytest.fixture(autouse=True)
def last_training_of_a_test() -> Iterator[None]:
    yield
    _forget_accelerator()


@pytest.fixture(autouse=True)
def settings_of_the_moment() -> None:
    """A process reads its settings once; a test that sets the environment is one of many in it."""
    settings.cache_clear()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give the test of each route an id of its own. Schemathesis only names them, and pytest-xdist,
    which tells tests apart by their ids, would run one of them and none of the others."""
    for item in items:
        if route := getattr(item, "operation_label", None):
            item._id = item.parent.id.child(item.originalname).with_params(route)
    assert len({item.nodeid for item in items}) == len(items), "two tests have the same id"
