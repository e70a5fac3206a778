"""What a run made: the promise, the photographs that lie far from the rest, the way to inspect."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import streamlit as st

from defectvision.bundle.line import Line
from defectvision.bundle.reader import BundleError, read_line
from defectvision.inference.image_error import ImageError
from defectvision.inference.images import decode_image
from defectvision.inference.thumbnail import small_jpeg
from defectvision.people import Action, Person
from defectvision.roots import NotAllowedError, opened
from defectvision.settings import settings
from defectvision.store.database import Store
from defectvision.web.choices import loaded_bundle
from defectvision.web.lines.default import make_default
from defectvision.web.links import open_line
from defectvision.web.new_line.form import say_refused
from defectvision.web.new_line.learning import how_it_learned
from defectvision.web.new_line.photographs import by_names, leave_out
from defectvision.web.new_line.progress import asked, change_button, log_button, remove_button
from defectvision.web.new_line.runs import Look, Outcome, Run, Suspect
from defectvision.web.new_line.training import change, start_training
from defectvision.web.session.people import acting
from defectvision.words import capital, counted, plain

SIDE = 320  # px of a picture
ACROSS = 6
MOST_SHOWN = 24


def outcome(run: Run, look: Look, store: Store, person: Person) -> None:
    """What was learned, and what to look at before it is relied on."""
    made, order = look.outcome, look.order
    if made is None or order is None:
        return
    beside = _beside(made) if order.labelled_set is None else None
    left, right = st.columns([7, 4], gap="large")
    with left:
        new_line = order.labelled_set is None and beside is None
        ready = "The line is ready" if new_line else "The bundle is ready"
        st.success(plain(made.promise), title=ready, icon=":material/check_circle:")
        if beside is not None:
            st.info(
                f"**{plain(beside.default_bundle)}** stays in force for {plain(beside.title)}, and "
                f"this one, **{plain(made.bundle)}**, stands beside it until somebody makes it the "
                "default, here or under **Lines**. The way back is kept.",
                title="Not in force yet",
                icon=":material/star:",
            )
    with right, st.container(key="new-line-counts"), st.grid(2, gap="small", min_column_width=110):
        st.metric("Images", f"{made.images:,}", border=True)
        st.metric(
            "Different parts",
            f"{made.parts:,}",
            border=True,
            help="Photographs that are near-copies of one another count once.",
        )
    with st.container(horizontal=True):
        if _inspect(made, "bundle" if beside else "line") and beside is not None:
            make_default(beside, made.bundle, store, person)
        if person.may(Action.TEACH):
            if order.labelled_set is None:
                change_button(run)
            remove_button(run)
        log_button(run)
    how_it_learned(run)
    if made.suspects:
        _suspects(run, made, store, person)
    say_refused((*run.photographs().refused, *(by_names(run, text) for text in made.left_out)))


def _beside(made: Outcome) -> Line | None:
    """The line whose default is another bundle than the one that was made; None where it is that
    one."""
    try:
        line = read_line(settings().weights / made.line)
    except BundleError:  # which is said where the bundle is to be used
        return None
    return line if line.default_bundle != made.bundle else None


def _inspect(made: Outcome, what: str) -> bool:
    """The way to inspect with it; says whether it can be used, and why not."""
    try:
        loaded_bundle(made.line, made.bundle)
    except BundleError as error:
        st.error(plain(str(error)), title="It cannot be used yet", icon=":material/error:")
        return False
    words = f"Inspect with this {what}"
    if st.button(words, type="primary", icon=":material/center_focus_strong:"):
        open_line(made.line, made.bundle)
    return True


def _suspects(run: Run, made: Outcome, store: Store, person: Person) -> None:
    names = run.photographs().names
    uploaded = (order := run.order()) is not None and order.folder is None
    st.markdown(f"**{_far(len(made.suspects))}**")
    words = [capital(words) for words in dict.fromkeys(s.words for s in made.suspects)]
    if uploaded:
        words.append("Mark what is no good part, and learn the line again without it.")
    else:
        words.append("Take what is no good part out of the folder, and learn the line again.")
    st.caption(plain(" ".join(filter(None, words))))
    marked, may = [], uploaded and person.may(Action.TEACH)
    with (
        st.container(key="new-line-suspects"),
        st.grid(ACROSS, min_column_width=120, vertical_alignment="bottom") as grid,
    ):
        for place, suspect in enumerate(made.suspects[:MOST_SHOWN]):
            with grid.cell():
                file = _file(run, suspect)
                name = names.get(file.name, file.name)
                _picture(run, file, name)
                st.caption(plain(name))
                if may and st.checkbox("Leave out", key=f"leave-{run.id}-{place}"):
                    marked.append(file.name)
    if len(made.suspects) > MOST_SHOWN:
        st.caption(f"The first {MOST_SHOWN} are shown.")
    if may:
        st.button(
            "Learn again without the marked ones",
            icon=":material/model_training:",
            disabled=not marked,
            on_click=asked,
            args=(lambda: _again(run, marked, store),),
        )


def _far(count: int) -> str:
    return counted(count, "photograph lies far from the rest", "photographs lie far from the rest")


def _again(run: Run, without: list[str], store: Store) -> None:
    order, person = run.order(), acting()
    if order is None:
        return
    change(run, person)
    leave_out(run, without)
    about = settings()
    roots, keep = about.source_roots, order.keep_pictures
    start_training(store, run, order.title, None, roots, about.weights, person, keep)


def _file(run: Run, suspect: Suspect) -> Path:
    """The suspect's file, by a path that may begin at the folder that was learned from."""
    return run.data / suspect.path  # an absolute one stays as it is


def _picture(run: Run, file: Path, name: str) -> None:
    try:
        picture = _small(file, run.data, settings().limits.pixels)
    except (ImageError, NotAllowedError, OSError) as error:
        st.caption(plain(f"{name}: {error}"))
        return
    st.image(picture, width="stretch", alt=name)


@lru_cache(maxsize=200)
def _small(file: Path, folder: Path, limit_pixels: int) -> bytes:
    with opened(file, folder.resolve()) as data:
        return small_jpeg(decode_image(data.read(), file.name, limit_pixels), SIDE)
