"""What one browser session has: its images, its policies, and what was made of both."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from defectvision.web.session.cuts import Cuts
from defectvision.web.session.images import Images
from defectvision.web.session.policies import Policies
from defectvision.web.viewer.pictures import Pictures

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass
class Work:
    """Everything of one session.

    heatmaps: gradient maps (h, w) float32 by digest, bundle version, class and method.
    """

    images: Images = field(default_factory=Images)
    policies: Policies = field(default_factory=Policies)
    cuts: Cuts = field(default_factory=Cuts)
    pictures: Pictures = field(default_factory=Pictures)
    heatmaps: dict[tuple[str, str, str, str], NDArray[np.float32]] = field(default_factory=dict)
    sample_seed: int = 0

    def clear(self, line: str) -> None:
        """Forget the images of a line and all that was made of them."""
        self.images.clear(line)
        left = self.images.content
        self.heatmaps = {key: v for key, v in self.heatmaps.items() if key[0] in left}
        self.cuts, self.pictures = Cuts(), Pictures()


def current() -> Work:
    """The work of the session that runs this script."""
    import streamlit as st

    if "work" not in st.session_state:
        st.session_state["work"] = Work()
    work: Work = st.session_state["work"]
    return work
