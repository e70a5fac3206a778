"""Images of an evaluation: a list, and the open one with its evidence map, inspected anew."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from defectvision.bundle.policy import STRICTNESS, Policy
from defectvision.bundle.schema import LoadedBundle
from defectvision.evaluation.charts import class_title
from defectvision.evaluation.kept import EvaluationError, Kept, joined
from defectvision.evaluation.outcomes import named, verdicts
from defectvision.inference.image_error import ImageError
from defectvision.inference.inspection import Inspection
from defectvision.inference.inspector import inspector_of
from defectvision.inference.sources import read_file
from defectvision.report.looks import LOOKS
from defectvision.roots import NotAllowedError, below_a_root, root_of
from defectvision.settings import settings
from defectvision.store.database import Store
from defectvision.store.errors import StoreError
from defectvision.store.results import Results
from defectvision.store.tables import InspectionRow
from defectvision.web.cards import facts, inspection_facts
from defectvision.web.evaluate.form import readable_folders
from defectvision.web.evaluate.opening import Opened
from defectvision.web.evaluate.views import PLACE, chosen, images_of, in_words
from defectvision.web.judged_table import HEAD_HEIGHT, MOST_ROWS, score_column, verdict_column
from defectvision.web.open_image import OpenImage, Places, main_heatmap, show_picture
from defectvision.web.session.work import Work
from defectvision.web.steps import step_control
from defectvision.web.verdict_card import verdict_card
from defectvision.web.widgets import part_of_more
from defectvision.words import counted, plain

MOST_LISTED = 500
ROW_HEIGHT = 35  # px
LAST = "evaluation-inspected"  # session key: the last inspection, by what it is of


class _GoneError(Exception):
    """Why an image cannot be shown."""


def images(work: Work, store: Store, opened: Opened, policy: Policy) -> None:
    """The images of the view that is chosen, the open one large with what is known of it."""
    kept, view = opened.kept, chosen(opened.row.id)
    try:
        rows = images_of(kept, policy, view)
    except EvaluationError as error:
        st.error(plain(str(error)), icon=":material/error:")
        return
    st.markdown(f"**{plain(in_words(kept, view))}**: {counted(len(rows), 'image')}")
    if not len(rows):
        st.info("There are none under this policy.", icon=":material/check_circle:")
        return
    place = min(st.session_state.get(PLACE, 0), len(rows) - 1)
    row = int(rows[place])
    image, problem = None, ""
    if opened.loaded is not None:
        try:
            image = _image(work, store, opened, opened.loaded, row, policy)
        except _GoneError as error:
            problem = str(error)
    places = Places.for_image(image)
    with places.first:
        step_control(_name(kept, row), place, len(rows), False, _go)
        _truth(kept, row)
        if image is not None and opened.loaded is not None:
            verdict_card(image, policy, opened.loaded)
    if image is not None and opened.loaded is not None:
        heatmap = main_heatmap(image.inspection, policy, opened.loaded)
        show_picture(places, image, heatmap, policy, opened.loaded)
        places.panel.html(facts(inspection_facts(image.inspection, heatmap.class_name)))
    elif problem:
        places.panel.warning(plain(problem), icon=":material/broken_image:")
    with places.side:
        _table(kept, policy, rows, place)


def _go(place: int) -> None:
    st.session_state[PLACE] = place


def _name(kept: Kept, row: int) -> str:
    return str(kept.images["path"].iloc[row])


def _truth(kept: Kept, row: int) -> None:
    about = kept.images.iloc[row]
    words = f"It is: **{plain(class_title(kept, about['truth']))}**"
    if about["decided_by"]:
        words += f", decided by {plain(about['decided_by'])}"
    group = str(about["group"])
    if group != f"image:{about['path']}":  # an image that is a group by itself
        words += f" · photo group {plain(group)}"
    st.markdown(words)
    if about["seen"] != "no":
        st.caption(f"The bundle learned from it: {about['seen']}.")


def _image(
    work: Work, store: Store, opened: Opened, loaded: LoadedBundle, row: int, policy: Policy
) -> OpenImage:
    """Raises _GoneError where it cannot be shown."""
    about = opened.kept.images.iloc[row]
    if about["inspection"] >= 0:
        data = _from_store(store, int(about["inspection"]))
    else:
        data = _from_folder(Path(opened.kept.about.root) / about["path"])
    digest = hashlib.sha256(data).hexdigest()
    if about["digest"] and digest != about["digest"]:
        raise _GoneError(f"{about['path']}: is another file than the one that was evaluated.")
    try:
        inspection = _inspected(data, digest, str(about["path"]), loaded)
        picture = work.pictures.of(digest, data, settings().limits.pixels, loaded.line.bits)
    except ImageError as error:
        raise _GoneError(str(error)) from error
    cut = work.cuts.whole(digest, inspection, policy)
    return OpenImage(digest, inspection, cut, picture, False, data)


def _from_store(store: Store, number: int) -> bytes:
    gone = "the picture of this inspection was not kept, or its days are over."
    with store.reading() as session:
        row = session.get(InspectionRow, number)
    if row is None:
        raise _GoneError("this inspection was deleted with its batch.")
    try:
        stored = Results.open(store, row.batch_id).one(number)
        data = stored.picture() if stored is not None else None
    except StoreError as error:
        raise _GoneError(str(error)) from error
    if data is None:
        raise _GoneError(gone)
    return data


def _from_folder(file: Path) -> bytes:
    """The image file, where it lies in a folder that pages may read: an evaluation may have been
    made by the command line, which may read any."""
    try:
        folders = readable_folders()
        found = below_a_root(file, folders)
        return read_file(found, root=root_of(found, folders, file))
    except ImageError as error:
        raise _GoneError(str(error)) from error
    except (NotAllowedError, OSError) as error:
        reason = getattr(error, "strerror", None)
        raise _GoneError(f"{file}: {reason}" if reason else str(error)) from error


def _inspected(data: bytes, digest: str, name: str, loaded: LoadedBundle) -> Inspection:
    key = digest, loaded.version
    last = st.session_state.get(LAST)
    if last is None or last[0] != key:
        last = key, inspector_of(loaded, settings().limits).inspect(data, name)
        st.session_state[LAST] = last
    inspection: Inspection = last[1]
    return inspection


def _table(kept: Kept, policy: Policy, rows: NDArray[np.int64], place: int) -> None:
    """The images of the view; a click opens one."""
    import pandas as pd

    shown = rows[:MOST_LISTED]
    some = kept.images.iloc[shown]
    said, label = verdicts(kept, policy)[shown], joined(named(kept, policy)[shown], kept.line)
    table = pd.DataFrame(
        {
            "name": some["path"].to_numpy(),
            "truth": [class_title(kept, text) for text in some["truth"]],
            "verdict": [[LOOKS[STRICTNESS[code]].signed] for code in said],
            "label": [class_title(kept, str(text)) for text in label],
            "score": some["score"].to_numpy(),
            "note": some["objection"].to_numpy(),
            "group": some["group"].to_numpy(),
        }
    )
    key = "evaluation-images"
    st.session_state[key] = {
        "selection": {"rows": [place] if place < len(shown) else [], "columns": [], "cells": []}
    }

    def clicked() -> None:
        selection = st.session_state[key]["selection"]
        places = [row for row, _ in selection["cells"]] or list(selection["rows"])
        if places and places[0] < len(shown):
            _go(places[0])

    with part_of_more(len(rows) > MOST_LISTED):
        st.dataframe(
            table,
            key=key,
            hide_index=True,
            row_height=ROW_HEIGHT,
            height=HEAD_HEIGHT + ROW_HEIGHT * min(len(shown), MOST_ROWS) + 3,
            on_select=clicked,
            selection_mode=["single-row", "single-cell"],
            alt="Images with what they are and what was said of them",
            column_config={
                "name": st.column_config.TextColumn("Image", width="medium"),
                "truth": "It is",
                "verdict": verdict_column(),
                "label": "Named",
                "score": score_column(table["score"], policy) if kept.line.can_accept else None,
                "note": "Why no verdict" if some["objection"].ne("").any() else None,
                "group": "Photo group",
            },
        )
    if len(rows) > MOST_LISTED:
        st.caption(f"The first {MOST_LISTED:,} of {len(rows):,}.")
