"""The canvas on which an image is labelled: classes by key, masks by hand.

The page's files lie in `assets/`: plain JavaScript and CSS, nothing to build. The browser holds the
masks of the open image, exact to its px, and tells after each stroke what has changed, until it
hears that it was taken. A closed tab loses the stroke being drawn. An image that is opened is sent
once: what the server keeps of it later is not sent back.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from defectvision.web.label.messages import (
    Counts,
    Drawable,
    MessageError,
    decode_mask,
    encode_masks,
    read_message,
    read_told,
)

log = logging.getLogger(__name__)

ASSETS = Path(__file__).parent / "assets"
VIEWER = Path(__file__).parents[1] / "viewer" / "assets"
SCRIPTS = (
    "bitmaps.js", "shapes.js", "fill.js", "painter.js", "view.js", "post.js", "tools.js",
    "classes.js", "hands.js", "canvas.js",
)  # fmt: skip
WIDE = 2.2  # width over height from which a picture stands above everything else
Step = Literal["", "next", "previous", "save"]


@dataclass(frozen=True)
class Drawn:
    """What a person has said of an image so far.

    digest: the image it is about; names: the classes chosen for it, in the line's order; masks:
    (H, W) of the image, of the classes that have any px; step: what the person asked for, "save"
    means keep and go on; strokes: how many were drawn since the image was opened.
    """

    digest: str
    names: tuple[str, ...]
    masks: Mapping[str, NDArray[np.bool_]]
    step: Step
    strokes: int


@dataclass
class _Opening:
    """An image that was opened: as it was sent, and what was heard of it since."""

    digest: str
    version: str
    image_size: tuple[int, int]
    classes: tuple[Drawable, ...]
    several: bool
    drawable: bool
    data: dict[str, Any]
    on_change: Callable[[Drawn], None]
    masks: dict[str, Counts]
    name: str = field(default_factory=lambda: secrets.token_hex(8))
    number: int = 0
    refused: bool = False

    def hear(self, sent: dict[str, Any]) -> None:
        """Hand on what the browser sent; a message that was overtaken says nothing."""
        if read_message(sent)[1] <= self.number:
            return
        told = read_told(sent, self.image_size, self.classes, self.several, self.drawable)
        masks = {name: c for name, c in {**self.masks, **told.masks}.items() if c[1::2].any()}
        bits = {name: decode_mask(counts, self.image_size) for name, counts in masks.items()}
        step = cast(Step, told.step)
        self.on_change(Drawn(self.digest, told.names, bits, step, told.strokes))
        # Only now: what could not be kept is not confirmed, and the browser goes on holding it.
        self.masks, self.number, self.refused = masks, told.number, False


def label_canvas(
    *,
    key: str,
    digest: str,
    picture: str,
    image_size: tuple[int, int],
    classes: Sequence[Drawable],
    several: bool,
    drawable: bool,
    names: Sequence[str],
    masks: Mapping[str, NDArray[np.bool_]],
    suggested: Mapping[str, NDArray[np.bool_]],
    on_change: Callable[[Drawn], None],
    alt: str = "Image to label",
    version: str = "",
) -> None:
    """Show an image (`picture` is a data URL, perhaps reduced) to be labelled.

    image_size: (height, width) of the image, which the masks have; several: whether an image can
    have more than one class; drawable: whether masks are drawn, else labels alone; names and masks:
    as they are kept; suggested: masks that the person can take over as a start; on_change: called
    before the page's script runs, after each stroke and at each step; what it raises leaves the
    message unconfirmed.

    The browser owns an open image: `names`, `masks` and `suggested` count when `digest` or
    `version` is another than in the run before, or the canvas was not shown in it.
    """
    state = f"{key}-openings"
    openings: list[_Opening] = st.session_state.setdefault(state, [])
    now = openings[-1] if openings and key in st.session_state else None
    if now is None or (now.digest, now.version) != (digest, version):
        encoded = encode_masks(masks, image_size, classes)
        now = _Opening(
            digest, version, image_size, tuple(classes), several, drawable, {}, on_change,
            {name: np.array(counts, np.int64) for name, counts in encoded.items()},
        )  # fmt: skip
        height, width = image_size
        now.data = {
            "opening": now.name,
            "id": digest,
            "version": version,
            "alt": alt,
            "width": width,
            "height": height,
            "wide": width > WIDE * height,
            "picture": picture,
            "classes": [vars(c) for c in classes],
            "several": several,
            "drawable": drawable,
            "names": list(names),
            "masks": encoded,
            "suggested": encode_masks(suggested, image_size, classes),
        }
        # The last words about the image before may still be on their way.
        openings[:] = [*openings[-1:], now]
    now.on_change = on_change
    _canvas()(
        key=key, data=now.data, height="content", on_drawn_change=lambda: _hear(key, openings)
    )
    heard = {"opening": now.name, "number": now.number, "refused": now.refused}
    _confirmed()(key=f"{key}-confirmed", data={**heard, "drawable": drawable}, height="content")


def _hear(key: str, openings: list[_Opening]) -> None:
    """Give a message to the opening that it is about; what nobody can have drawn is logged."""
    # A page that was left while the message came has no canvas any more.
    if key not in st.session_state or (sent := st.session_state[key].get("drawn")) is None:
        return
    opening = None
    try:
        name, _ = read_message(sent)
        opening = next((o for o in openings if o.name == name), None)
        if opening is None:
            raise MessageError("a message about an image that is not open")
        opening.hear(sent)
    except MessageError as error:
        log.warning("a drawing was refused: %s", error)
        if opening is not None:
            opening.refused = True


@lru_cache(maxsize=1)
def _canvas() -> Any:
    """Registered on the first use in a process: registration needs the running server."""
    html = _asset("canvas.html")
    css = (VIEWER / "viewer.css").read_text("utf-8") + _asset("canvas.css")
    js = (VIEWER / "link.js").read_text("utf-8") + "".join(map(_asset, SCRIPTS))
    return st.components.v2.component("defectvision_label", html=html, css=css, js=js)


@lru_cache(maxsize=1)
def _confirmed() -> Any:
    """A component of its own, so that a confirmation does not send the picture again."""
    html, css, js = (_asset(f"confirmed.{suffix}") for suffix in ("html", "css", "js"))
    return st.components.v2.component("defectvision_label_confirmed", html=html, css=css, js=js)


def _asset(name: str) -> str:
    return (ASSETS / name).read_text("utf-8")
