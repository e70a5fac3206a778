"""What the browser is told of masks."""

from dataclasses import replace

from defectvision.bundle.policy import Policy
from defectvision.bundle.reader import load_bundle
from defectvision.inference.inspector import Inspector
from defectvision.limits import PIXELS
from defectvision.web.viewer.layers import mask_data
from tests.stand_ins.bundles import write_bundle
from tests.stand_ins.strips import encoded, strip_with


def test_defects_that_a_model_draws_no_masks_of_are_named(tmp_path):
    """Of some sets only a part of the defects is marked, and silence would read as absence."""
    write_bundle(tmp_path, "severstal-strip", "unet")
    found = Inspector(load_bundle(tmp_path, "severstal-strip"), PIXELS).inspect(
        encoded(strip_with()), "strip.png"
    )
    assert mask_data(found, found.cut(Policy()))["without"] == []
    partial = replace(found, mask_classes=found.mask_classes[:2], masks=found.masks[:2])
    told = mask_data(partial, partial.cut(Policy()))
    assert told["without"] == ["Class 3", "Class 4"]
    assert [c["name"] for c in told["classes"]] == ["1", "2"]
