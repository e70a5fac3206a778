"""A page with nothing but the labelling canvas: what it tells goes to a file, a line a message.

Two images of a bright square on grey, kept as they were told last.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import streamlit as st

from defectvision.web.label.canvas import Drawable, Drawn, label_canvas
from defectvision.web.viewer.pictures import viewer_picture

HEIGHT, WIDTH = 200, 300
CLASSES = (
    Drawable("good", "Good", "#2e9e5b", "1", good=True),
    Drawable("pit", "Pit", "#d55e00", "2"),
    Drawable("dent", "Dent", "#0072b2", "3"),
)

out = Path(sys.argv[1])
state = st.session_state
state.setdefault("place", 0)
state.setdefault("kept", {})
place = state.place
pixels = np.full((HEIGHT, WIDTH), 90, np.uint8)
pixels[60:100, 200 : 230 + 10 * place] = 220
suggested = np.zeros((HEIGHT, WIDTH), bool)
suggested[10:20, 10:30] = True


def keep(drawn: Drawn) -> None:
    state.kept[drawn.digest] = drawn
    line = {
        "digest": drawn.digest,
        "names": drawn.names,
        "areas": {name: int(mask.sum()) for name, mask in drawn.masks.items()},
        "boxes": {
            name: [int(v) for ends in np.nonzero(mask) for v in (ends.min(), ends.max())]
            for name, mask in drawn.masks.items()
        },
        "step": drawn.step,
        "strokes": drawn.strokes,
    }
    with out.open("a") as file:
        file.write(json.dumps(line) + "\n")
    state.place += {"next": 1, "save": 1, "previous": -1, "": 0}[drawn.step]


kept = state.kept.get(f"image {place}")
st.write(f"Image {place}")
label_canvas(
    key="canvas",
    digest=f"image {place}",
    picture=viewer_picture(pixels),
    image_size=(HEIGHT, WIDTH),
    classes=CLASSES,
    several=True,
    drawable=True,
    names=kept.names if kept else (),
    masks=kept.masks if kept else {},
    suggested={"dent": suggested},
    on_change=keep,
)
