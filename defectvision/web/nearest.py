"""How far the open part is from the good parts that its bundle remembers, and on demand the nearest
of them beside it."""

from __future__ import annotations

import base64
from html import escape
from typing import TYPE_CHECKING

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from defectvision.bundle.policy import Policy
from defectvision.bundle.reader import BundleError
from defectvision.bundle.schema import LoadedBundle
from defectvision.inference.farness import farness_in_words, times_the_limit
from defectvision.inference.good_pictures import GoodPictures, carried_picture
from defectvision.inference.images import ImageError
from defectvision.inference.inspection import Inspection
from defectvision.settings import settings
from defectvision.words import plain

if TYPE_CHECKING:
    from defectvision.inference.good_memory import GoodMemory

RING = 14  # % of the picture's width


def how_far(
    inspection: Inspection, data: bytes | None, policy: Policy, loaded: LoadedBundle
) -> None:
    """What the evidence map adds up to, in words, and the way to the nearest good part; nothing of
    a bundle that remembers none. data: the image file."""
    if not loaded.bundle.remembers:
        return
    times = times_the_limit(inspection, loaded.bundle, policy)
    if times is not None:
        st.caption(farness_in_words(times))
    if data is None:
        return
    if st.toggle(
        "Nearest good part",
        key="nearest-good-part",
        persist_state="session",
        help="The place of this part that is farthest from anything remembered, and the remembered "
        "place that is nearest to it, each in a ring.",
    ):
        try:
            _nearest(data, inspection.name, loaded)
        except (BundleError, ImageError) as error:
            st.error(plain(str(error)), icon=":material/error:")


def _nearest(data: bytes, name: str, loaded: LoadedBundle) -> None:
    memory = _memory(loaded.version, loaded)
    looked = memory.look(data, name, settings().limits.pixels)
    found = memory.farthest(looked)
    good = _pictures(loaded.version, loaded)
    here, there = st.columns(2)
    with here:
        st.html(_ringed(carried_picture(looked.pixels), found.at, "This part"))
        st.caption("This part")
    with there:
        if good is None:
            st.caption("The bundle was made before it was kept which part each place is of.")
            return
        number, at = int(good.picture[found.nearest]), good.at[found.nearest]
        title = f"Good part {number + 1:,} of {good.number:,}"
        if number in good.jpegs:
            st.html(_ringed(good.jpegs[number], at, title))
            st.caption(plain(f"{title}, {good.names.get(number, '')}".rstrip(", ")))
            return
        st.caption(f"{title}, {in_words(at)}.")
        st.caption(
            "Its picture is not shown: the bundle carries none. Learn the line with "
            "`keep_pictures` in the recipe, or with its box in the form, to have them."
        )


def in_words(at: NDArray[np.float32]) -> str:
    """ "32 % from the left and 80 % from the top" """
    return f"{at[0]:.0%} from the left and {at[1]:.0%} from the top".replace("%", " %")


def _ringed(jpeg: bytes, at: NDArray[np.float32], title: str) -> str:
    """HTML: a picture with a ring around a place."""
    source = base64.b64encode(jpeg).decode()
    ring = (
        f"position:absolute;left:{100 * at[0]:.1f}%;top:{100 * at[1]:.1f}%;width:{RING}%;"
        "aspect-ratio:1;transform:translate(-50%,-50%);border-radius:50%;"
        "border:2px solid #fff;box-shadow:0 0 0 2px #000,inset 0 0 0 1px #000"
    )
    return (
        '<div style="position:relative;overflow:hidden;border-radius:4px">'
        f'<img alt="{escape(title, quote=True)}" style="width:100%;display:block" '
        f'src="data:image/jpeg;base64,{source}"><div style="{ring}"></div></div>'
    )


@st.cache_resource(max_entries=2, show_spinner="Reading what the bundle remembers")
def _memory(version: str, _loaded: LoadedBundle) -> GoodMemory:
    from defectvision.inference.good_memory import GoodMemory

    return GoodMemory(_loaded)


@st.cache_resource(max_entries=2, show_spinner=False)
def _pictures(version: str, _loaded: LoadedBundle) -> GoodPictures | None:
    return GoodPictures.of(_loaded.folder)
