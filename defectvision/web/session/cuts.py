"""What the policy cuts out of masks, cut once: pages draw all anew whenever somebody clicks."""

from __future__ import annotations

from dataclasses import dataclass, field

from defectvision.bundle.policy import Policy
from defectvision.inference.inspection import Inspection
from defectvision.inference.judged import Judged
from defectvision.inference.regions import Cut, Region, scaled

MOST_IMAGES = 20_000  # whose regions are kept; many more than a session holds

Image = tuple[str, str]  # digest of the file, version of the bundle
Levels = tuple[object, ...]  # all of a policy that decides where regions end


@dataclass
class Cuts:
    """The regions of a session's images, and the open one's areas, as the policy last cut them."""

    measured: dict[Image, tuple[Levels, tuple[Region, ...]]] = field(default_factory=dict)
    opened: tuple[Image, Levels, Cut] | None = None

    def whole(self, digest: str, inspection: Inspection, policy: Policy) -> Cut:
        """Areas and regions of the image that is open; cut again only where the policy cuts them
        otherwise: a new scale only relabels them."""
        if inspection.masks is None:
            return Cut()
        image, levels = (digest, inspection.bundle_version), _levels(policy, inspection)
        if self.opened is None or self.opened[:2] != (image, levels):
            self.opened = image, levels, inspection.cut(policy)
        cut = self.opened[2]
        regions = cut.regions
        if regions and regions[0].mm_per_px != policy.mm_per_px:
            cut = cut.scaled(policy.mm_per_px)
            self.opened = image, levels, cut
        self._keep(image, levels, cut.regions)
        return cut

    def regions(self, digest: str, judged: Judged, policy: Policy) -> tuple[Region, ...] | None:
        """The regions of any image, the largest first; those of the open one as `whole` cut them.
        None where the record of a stored one is needed and gone, as `judged.lost` says."""
        if not judged.mask_classes:
            return ()
        image, levels = (digest, judged.bundle_version), _levels(policy, judged)
        before, regions = self.measured.get(image, ((), ()))
        if before != levels:
            known = judged.known_regions(policy)
            if known is None:
                return None
            regions = known
        elif regions and regions[0].mm_per_px != policy.mm_per_px:
            regions = scaled(regions, policy.mm_per_px)
        self._keep(image, levels, regions)
        return regions

    def _keep(self, image: Image, levels: Levels, regions: tuple[Region, ...]) -> None:
        self.measured.pop(image, None)
        self.measured[image] = levels, regions
        if len(self.measured) > MOST_IMAGES:
            del self.measured[next(iter(self.measured))]


def _levels(policy: Policy, judged: Judged) -> Levels:
    levels = map(policy.mask_threshold, judged.mask_classes)
    return (policy.smallest_region_px, *levels, policy.zones)
