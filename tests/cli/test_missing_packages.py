"""What a machine without torch, or without the grad-cam package, can still do."""

from __future__ import annotations

import json

import pytest

from defectvision.bundle.reader import load_bundle
from defectvision.data.synthetic.samples import write_samples
from tests.stand_ins.bundles import write_bundle
from tests.stand_ins.missing import run


@pytest.mark.slow
def test_figures_are_recorded_without_torch(tmp_path):
    write_bundle(tmp_path / "weights", "casting", "resnet50")
    write_samples("casting", tmp_path / "parts", per_class=3, seed=2)
    arguments = [
        *("evaluate", "--data", str(tmp_path / "parts"), "--line", "casting", "--json"),
        *("--weights", str(tmp_path / "weights"), "--record", "parts of another plant"),
    ]
    code = f"""
import os
os.environ["DEFECTVISION_CACHE"] = {str(tmp_path / "cache")!r}
os.environ["DEFECTVISION_STORE"] = {str(tmp_path / "store")!r}
from defectvision.cli.main import app
app({arguments!r})
"""
    done = run(code, "torch", "torchvision", "timm")
    assert done.returncode == 0, done.stderr
    bundle = load_bundle(tmp_path / "weights", "casting").bundle
    (recorded,) = (m for m in bundle.metrics if m.split == "parts of another plant")
    assert recorded.images == json.loads(done.stdout)["images"] == 6
    card = (tmp_path / "weights/casting/resnet50/README.md").read_text()
    assert "### parts of another plant" in card


@pytest.mark.slow
def test_a_bundle_is_exported_without_the_grad_cam_package():
    code = """
from defectvision.training.quantize import quantize_bundle
from defectvision.models.trained import load_network
from defectvision.bundle.reader import load_bundle
from pathlib import Path
network = load_network(load_bundle(Path("weights"), "neu-surface", "efficientnet_lite0"))
print(sum(p.numel() for p in network.parameters()))
"""
    done = run(code, "pytorch_grad_cam")
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 2.9e6
