"""What is kept of a policy's cut serves every place that shows the image."""

from __future__ import annotations

import pytest

from defectvision.bundle.policy import Policy
from defectvision.bundle.reader import load_bundle
from defectvision.inference.inspection import Inspection
from defectvision.inference.inspector import Inspector
from defectvision.inference.judged import Judged
from defectvision.inference.regions import Region
from defectvision.limits import PIXELS
from defectvision.web.session.cuts import Cuts
from tests.stand_ins.bundles import write_bundle
from tests.stand_ins.strips import encoded, strip_with


class Stored(Judged):
    """An inspection as the store gives it, whose regions would have to be cut from its record."""

    def __init__(self, inspection: Inspection):
        self.mask_classes = inspection.mask_classes
        self.bundle_version = inspection.bundle_version

    def regions(self, policy: Policy) -> tuple[Region, ...]:
        raise AssertionError("cut again")


@pytest.fixture(scope="module")
def strip(tmp_path_factory: pytest.TempPathFactory) -> Inspection:
    weights = tmp_path_factory.mktemp("weights")
    write_bundle(weights, "severstal-strip", "unet")
    model = Inspector(load_bundle(weights, "severstal-strip"), PIXELS)
    return model.inspect(encoded(strip_with()), "strip.png")


@pytest.mark.parametrize(
    ("policy", "areas"),
    [
        (Policy(), [4000, 900, 121, 9]),
        (Policy(smallest_region_px=100), [4000, 900, 121]),
        (Policy(mask_thresholds={"3": 1.0}), [900, 121, 9]),
    ],
)
def test_a_row_of_a_table_shows_the_regions_of_the_open_image(strip, policy, areas) -> None:
    cuts = Cuts()
    assert [r.area_px for r in cuts.whole("digest", strip, policy).regions] == areas
    assert [r.area_px for r in cuts.regions("digest", Stored(strip), policy)] == areas


def test_another_image_or_another_policy_is_cut_anew(strip: Inspection) -> None:
    cuts = Cuts()
    cuts.whole("digest", strip, Policy())
    for digest, policy in (("other", Policy()), ("digest", Policy(smallest_region_px=10))):
        with pytest.raises(AssertionError, match="cut again"):
            cuts.regions(digest, Stored(strip), policy)


def test_a_scale_measures_the_same_regions_in_mm(strip: Inspection) -> None:
    cuts = Cuts()
    before = cuts.whole("digest", strip, Policy())
    after = cuts.whole("digest", strip, Policy(mm_per_px=0.5))
    assert [a.areas for a, _ in before.classes] == [a.areas for a, _ in after.classes]
    assert [r.area_mm2 for r in after.regions] == [r.area_px / 4 for r in before.regions]
    scaled = cuts.regions("digest", Stored(strip), Policy(mm_per_px=0.5))
    assert scaled == after.regions
    unknown = cuts.regions("digest", Stored(strip), Policy())
    assert unknown == before.regions


def test_a_bundle_without_masks_cuts_nothing(inspector: Inspector) -> None:
    from tests.stand_ins.castings import GOOD, casting

    found = inspector.inspect(casting(*GOOD), "a.png")
    cuts = Cuts()
    assert cuts.whole("a", found, Policy()).regions == ()
    assert cuts.regions("a", found, Policy()) == ()
