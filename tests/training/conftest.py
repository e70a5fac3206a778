"""The line that several tests begin with, which takes some seconds to learn."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import onnx
import pytest
from torch import nn

from defectvision.bundle.schema import Preprocessing
from defectvision.training import export
from tests.stand_ins.plates import PARTS, train, write

PLAIN = (bool, int, float, str, tuple)


@pytest.fixture(scope="session")
def good(tmp_path_factory) -> Path:
    """A folder of good plates."""
    folder = tmp_path_factory.mktemp("box of good parts")
    write(folder, PARTS)
    return folder


@pytest.fixture(scope="session")
def trained(good, tmp_path_factory) -> Path:
    """The folder in which the line `plates` was learned from them: its `weights` and its `run`."""
    out = tmp_path_factory.mktemp("out")
    result = train(good, out)
    assert result.exit_code == 0, result.output
    return out


@pytest.fixture(autouse=True, scope="session")
def quick_exports() -> Iterator[None]:
    """A network is exported once for all tests of a process; one like it gets that graph with its
    own numbers. tests/models/test_registry.py exports every kind of network."""
    unfolded, made = export.unfolded, {}

    def once(model: nn.Module, shape: Preprocessing) -> onnx.ModelProto:
        kind = str((shape.height, shape.width, shape.channels, *_kind(model)))
        if kind not in made:
            made[kind] = unfolded(model, shape)
        return export.renumbered(made[kind], model)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(export, "unfolded", once)
        yield


def _kind(model: nn.Module) -> Iterator[object]:
    """All that an exported graph is made of besides the numbers of `state_dict`."""
    for name, part in model.named_modules():
        yield name, repr(part), {k: v for k, v in vars(part).items() if isinstance(v, PLAIN)}
    for name, array in model.state_dict().items():
        yield name, tuple(array.shape), array.dtype
