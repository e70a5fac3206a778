"""The project's own picture viewer: an image and its heatmap, zoomed and compared in the browser.

The page's files lie in `viewer/`: plain JavaScript and CSS, nothing to build. Nothing that depends
on the policy is sent with the picture but the scale, so a moved threshold does not send it again:
the masks, which the policy cuts, come with the table of their regions, which hands them over.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import streamlit as st

from defectvision.bundle.rules import Zone
from defectvision.inference.frame import Frame
from defectvision.inference.heatmap import Heatmap, legend_colours, tick_text, ticks
from defectvision.inference.inspection import Inspection
from defectvision.inference.regions import Cut
from defectvision.inference.zones import corners_on_image
from defectvision.web.viewer.layers import mask_data
from defectvision.web.viewer.pictures import data_url

ASSETS = Path(__file__).parent / "assets"
WIDE = 2.2  # width over height from which a picture stands above everything else
LARGEST_SCALE = 1e4  # mm per px
HEATMAP_SIDE = 640  # px; the grid is far coarser, the browser smooths the rest


@lru_cache(maxsize=1)
def _component() -> Any:
    """Registered on the first use in a process: registration needs the running server."""
    html = _asset("viewer.html")
    css = _asset("viewer.css") + _asset("masks.css")
    js = "".join(map(_asset, ("link.js", "masks.js", "ruler.js", "zones.js", "viewer.js")))
    return st.components.v2.component("defectvision_viewer", html=html, css=css, js=js)


@lru_cache(maxsize=1)
def _table() -> Any:
    html, css = _asset("table.html"), _asset("table.css")
    js = _asset("link.js") + _asset("table.js")
    return st.components.v2.component("defectvision_regions", html=html, css=css, js=js)


def _asset(name: str) -> str:
    return (ASSETS / name).read_text("utf-8")


def is_wide(inspection: Inspection) -> bool:
    """Whether the picture is a strip, which needs the page's whole width to be seen."""
    height, width = inspection.image_size
    return width > WIDE * height


@dataclass(frozen=True)
class Marking:
    """Who gets what somebody marks in the picture.

    set_scale: the mm per px of a length whose true one was typed in; add_zone: name, whether it is
    ignored, and corners as x and y in px of the image, pixel centres on whole numbers.
    """

    set_scale: Callable[[float], None]
    add_zone: Callable[[str, bool, list[tuple[float, float]]], None]


def picture_viewer(
    picture: str,
    digest: str,
    inspection: Inspection,
    heatmap: Heatmap | None,
    mark: str = "",
    mm_per_px: float | None = None,
    zones: Iterable[Zone] = (),
    marking: Marking | None = None,
) -> None:
    """Show a picture (a data URL) with `heatmap` and `zones` over it, and the masks that
    `regions_table` brings; `mark` is written on the picture. Without a heatmap the picture is all
    there is, for a reviewer who must not see what the model says.

    mm_per_px: what its ruler tells mm by, None where it is not known. marking: None where nothing
    can be marked.
    """
    height, width = inspection.image_size

    def scaled() -> None:
        scale = st.session_state["viewer"].scale
        if marking is not None and isinstance(scale, int | float) and 0 < scale < LARGEST_SCALE:
            marking.set_scale(float(scale))

    def zoned() -> None:
        if marking is not None and (drawn := drawn_zone(st.session_state["viewer"].zone)):
            marking.add_zone(*drawn)

    _component()(
        key="viewer",
        data={
            "id": digest,
            "alt": f"Picture of {inspection.name}",
            "width": width,
            "height": height,
            "picture": picture,
            "wide": is_wide(inspection),
            "mark": mark,
            "mm_per_px": mm_per_px,
            "markable": marking is not None,
            "zones": [zone_data(zone, inspection.frame) for zone in zones],
            "heat": None if heatmap is None else heatmap_data(inspection, heatmap),
            "masks": None if heatmap is None else _masks_id(digest, inspection),
        },
        height="content",
        on_scale_change=scaled,
        on_zone_change=zoned,
    )


def zone_data(zone: Zone, frame: Frame) -> dict[str, Any]:
    """What the browser draws of a zone; in its px of a picture the corners lie on whole numbers."""
    corners = (corners_on_image(zone, frame) + 0.5).round(2).tolist()
    return {"name": zone.name, "ignored": zone.ignored, "corners": corners}


def drawn_zone(sent: Any) -> tuple[str, bool, list[tuple[float, float]]] | None:
    """Name, kind and corners of a zone that the browser sent; None where it is none."""
    try:
        corners = [(float(x) - 0.5, float(y) - 0.5) for x, y in sent["corners"]]
        return str(sent["name"]), sent["ignored"] is True, corners
    except (KeyError, TypeError, ValueError):
        return None


def regions_table(digest: str, inspection: Inspection, cut: Cut) -> None:
    """Show the regions of the policy's `cut`, linked with the picture; nothing without masks."""
    if inspection.masks is not None:
        content = {"id": _masks_id(digest, inspection), **mask_data(inspection, cut)}
        _table()(key="regions", data=content, height="content")


def _masks_id(digest: str, inspection: Inspection) -> str | None:
    """Whose masks are meant: those of one image under one bundle."""
    return None if inspection.masks is None else f"{digest}/{inspection.bundle_version}"


def heatmap_data(inspection: Inspection, heatmap: Heatmap) -> dict[str, Any]:
    """What the browser needs of a heatmap: colours to look at, numbers to read, words."""
    numbers = ticks(heatmap.scale, heatmap.palette)
    shown = [numbers[0], numbers[len(numbers) // 2], numbers[-1]]
    signed = heatmap.palette == "signed"
    per_cent = 100 if signed else 1
    return {
        "method": heatmap.method,
        "picture": data_url(heatmap.colours(inspection.frame, HEATMAP_SIDE), "png"),
        "signed": signed,
        "values": [[float(f"{v:.4g}") for v in row] for row in heatmap.values * per_cent],
        "to_grid": _image_to_grid(inspection.frame, heatmap.values.shape),
        "colours": legend_colours(heatmap.palette),
        "ticks": [[i / 2, tick_text(v, heatmap.palette)] for i, v in enumerate(shown)],
        "meaning": heatmap.meaning,
        "unit": heatmap.unit,
        "sums": heatmap.sums_to,
    }


def _image_to_grid(frame: Frame, grid_size: tuple[int, ...]) -> list[float]:
    """The six numbers of the (2, 3) map from image px to places of the grid."""
    to_image = np.vstack([frame.grid_to_image(grid_size), [0, 0, 1]])
    return np.linalg.inv(to_image)[:2].ravel().tolist()
