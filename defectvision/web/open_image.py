"""The image that is open, as Inspect, Results and Review show it: picture, masks and regions, and
beside them the place for what is known about it."""

from __future__ import annotations

from dataclasses import dataclass

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from defectvision.bundle.policy import Policy
from defectvision.bundle.schema import LoadedBundle
from defectvision.bundle.words import EXTENT
from defectvision.inference.heatmap import Heatmap, evidence_heatmap
from defectvision.inference.inspection import Inspection
from defectvision.inference.regions import Cut
from defectvision.report.looks import SYNTHETIC
from defectvision.web.nearest import how_far
from defectvision.web.viewer.component import Marking, is_wide, picture_viewer, regions_table

SIDES = [9, 4]  # the picture, and what is known about it


@dataclass(frozen=True)
class OpenImage:
    """The image that is open. digest: of its file; cut: what the policy cuts out of its masks;
    picture: a data URL, None where it was not kept; synthetic: drawn by the program; data: the
    file's content, None where it was not kept."""

    digest: str
    inspection: Inspection
    cut: Cut
    picture: str | None
    synthetic: bool
    data: bytes | None = None


@dataclass(frozen=True)
class Places:
    """Where the parts of a page stand.

    across: over the whole width, above all else, for a strip; side: below the picture, which gets
    the most room; first: verdict and buttons, on a narrow screen above the picture; panel: what
    else is known, beside it.
    """

    across: DeltaGenerator
    side: DeltaGenerator
    first: DeltaGenerator
    panel: DeltaGenerator

    @classmethod
    def for_image(cls, image: OpenImage | None) -> Places:
        """The places of a page that shows `image`, or none yet."""
        if image is None:  # empty containers would still take the gaps between them
            side, panel = st.columns(SIDES, gap="medium")
            return cls(side, side, panel, panel)
        with st.container(key="places"):
            across = st.container(key="across") if is_wide(image.inspection) else None
            side, panel = st.columns(SIDES, gap="medium")
            first = panel.container(key="first")
        return cls(side if across is None else across, side, first, panel)


def main_heatmap(inspection: Inspection, policy: Policy, loaded: LoadedBundle) -> Heatmap:
    """The exact evidence of the class to explain first."""
    class_name = inspection.main_class(policy)
    return evidence_heatmap(inspection, class_name, loaded.bundle.temperature, policy.zones)


def show_picture(
    places: Places,
    image: OpenImage,
    heatmap: Heatmap | None,
    policy: Policy,
    loaded: LoadedBundle,
    marking: Marking | None = None,
    blind: bool = False,
) -> None:
    """The picture with `heatmap` and masks over it, the table of the regions, and how far the part
    is from what the bundle remembers; the latter alone where the picture was not kept.

    marking: gets what somebody measures and draws in it. blind: the picture is all there is, for a
    reviewer who must not see what the model says.
    """
    if not blind:
        with places.panel:
            how_far(image.inspection, image.data, policy, loaded)
    if image.picture is None:
        places.panel.info(
            "The picture was not kept, or its days are over.", icon=":material/image:"
        )
        return
    mark = SYNTHETIC.capitalize() if image.synthetic else ""
    with places.across:
        picture_viewer(
            image.picture,
            image.digest,
            image.inspection,
            None if blind else heatmap,
            mark,
            policy.mm_per_px,
            () if blind else policy.zones,
            marking,
        )
    if not blind:
        with places.side:
            regions_table(image.digest, image.inspection, image.cut)
            if loaded.bundle.remembers and image.cut.regions:
                st.caption(EXTENT)
