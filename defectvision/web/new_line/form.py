"""The form that makes a line from photographs of good parts."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from defectvision.people import Action, Person
from defectvision.roots import NotAllowedError
from defectvision.settings import settings
from defectvision.store.database import Store
from defectvision.web.inspect.intake import FILE_TYPES
from defectvision.web.links import FORM, NEW_LINE
from defectvision.web.new_line.enough import LEAST_GOOD
from defectvision.web.new_line.naming import (
    LONGEST_TITLE,
    free_name,
    line_name,
    refusal,
    taught_before,
)
from defectvision.web.new_line.photographs import Intake, allowed_folder
from defectvision.web.new_line.recipe import good_parts_recipe
from defectvision.web.new_line.runs import Order, Run, new_run, running_in
from defectvision.web.new_line.training import (
    TrainingError,
    lacks_torch,
    other_runs,
    remove,
    start_training,
    without_torch,
)
from defectvision.web.session.people import acting
from defectvision.words import counted, plain

UPLOADS, FOLDER = "Upload", "Folder on the server"
KIND, INTAKE, DROPS, FORMS = (f"new-line-{name}" for name in ("kind", "intake", "drops", "forms"))
MOST_SAID = 5  # files that were left out, named in sight
KEEP = "Keep small pictures of the good parts in the model"
KEEP_HELP = (
    "Then the nearest good part is shown beside a part that is inspected. Who gets the model gets "
    "these pictures and their names too, so leave it off where photographs of parts must not leave "
    "this machine."
)
FOLDER_SECONDS = 30  # for which the images of a folder are not counted again


def runs_folder() -> Path:
    """Where this server keeps its runs."""
    return settings().store / "new-lines"


def form(run: Run | None, store: Store, person: Person) -> None:
    """What a new line is made of, and what to expect of it. run: the photographs so far."""
    # A place that is always there: what is half typed below would be lost if it moved.
    with st.container():
        run = _take_in(run)
    left, right = st.columns([7, 4], gap="large")
    with left:
        title = st.text_input(
            "Title of the line",
            key=_key("title"),
            persist_state="session",
            max_chars=LONGEST_TITLE,
            placeholder="Pump housings, left",
        )
        if title.strip():
            _say_name(title)
        # Not by a default of the widget's own, which an order that is changed sets anew.
        st.session_state.setdefault(KIND, UPLOADS)
        kind = st.segmented_control(
            "Photographs of good parts",
            [UPLOADS, FOLDER],
            required=True,
            key=KIND,
            persist_state="session",
        )
        folder, count = _uploads(run) if kind == UPLOADS else _folder()
        keep = st.checkbox(KEEP, key=_key("keep"), persist_state="session", help=KEEP_HELP)
    with right, st.container(border=True, key="new-line-start"):
        st.metric("Photographs of good parts", f"{count:,}")
        st.markdown(expectation(count))
        _start(run, title, folder, count, keep, store, person)


def fill_form(order: Order) -> None:
    """Let the form show what was asked for."""
    st.session_state[_key("title")] = order.title
    st.session_state[KIND] = FOLDER if order.folder else UPLOADS
    st.session_state[_key("path")] = str(order.folder or "")
    st.session_state[_key("keep")] = order.keep_pictures


def empty_form() -> None:
    """Let the next form be an empty one."""
    st.session_state[FORMS] = st.session_state.get(FORMS, 0) + 1


def _key(field: str) -> str:
    return f"new-line-{field}-{st.session_state.get(FORMS, 0)}"


def expectation(count: int) -> str:
    """What a line from so many photographs of different good parts will promise, in the words
    that stand at its end."""
    if count < LEAST_GOOD:
        return f"At least {LEAST_GOOD} are needed, each of another good part."
    from defectvision.evaluation.promise import in_words, promised

    asked = good_parts_recipe()["memory"]["stopped"]
    return in_words(count, promised(count, asked), asked)


def _say_name(title: str) -> None:
    weights, name = settings().weights, line_name(title)
    if said := refusal(title, weights):
        st.error(plain(said), icon=":material/error:")
    elif taught_before(title, weights):
        bundle = free_name(good_parts_recipe()["architecture"], weights / name)
        st.info(
            f"There is a line `{name}` from good parts already, and it goes on as it is. What is "
            f"learned from these photographs alone becomes its bundle `{bundle}`, which is in "
            "force once somebody makes it the default.",
            icon=":material/model_training:",
        )
    else:
        st.caption(f"Kept under the name `{name}`")


def _take_in(run: Run | None) -> Run | None:
    """Look at what was dropped in, with progress; broken off by the next click, it goes on."""
    intake = st.session_state.setdefault(INTAKE, Intake())
    if not intake.waiting and intake.opening is None:
        return run
    run = run or new_run(runs_folder())
    st.query_params[NEW_LINE] = run.id
    bar = st.progress(0.0, "Looking at the photographs")
    total = len(intake.waiting)

    def tell(done: int) -> None:
        share = 1 - len(intake.waiting) / total
        bar.progress(share, f"Looking at the photographs: {done:,}")

    try:
        intake.take_in(run, settings().limits.pixels, tell)
    except OSError as error:
        st.session_state[INTAKE] = Intake()
        bar.empty()
        st.error(
            plain(
                f"{error.filename or run.folder}: {error.strerror or error}. Free some space in "
                "the store; then give those that are missing again."
            ),
            title="Not all photographs were kept",
            icon=":material/error:",
        )
        return run
    st.rerun()


def _uploads(run: Run | None) -> tuple[None, int]:
    key = f"new-line-files-{st.session_state.setdefault(DROPS, 0)}"

    def dropped() -> None:
        files = st.session_state.get(key) or []
        st.session_state[INTAKE].waiting += [(file.name, file.getvalue()) for file in files]
        st.session_state[DROPS] += 1  # an empty place for more

    st.file_uploader(
        "Images or zip files, each of another good part",
        type=FILE_TYPES,
        accept_multiple_files=True,
        max_upload_size=settings().max_upload_mb,
        key=key,
        on_change=dropped,
        label_visibility="collapsed",
    )
    if run is None:
        return None, 0
    kept = run.photographs()
    if kept.again:
        said = counted(len(kept.again), "file is an exact copy", "files are exact copies")
        st.caption(f"{said} of another one, and counts once.")
    say_refused(kept.refused)
    if kept.names or kept.refused:
        st.button(
            "Clear",
            icon=":material/delete_sweep:",
            help="Forget these photographs, and begin with others.",
            on_click=_forget,
            args=(run,),
        )
    return None, len(kept.names)


def say_refused(refused: tuple[str, ...]) -> None:
    """Which files were left out, why, and what to do."""
    if not refused:
        return
    title = counted(len(refused), "file was left out", "files were left out")
    with st.expander(title, icon=":material/broken_image:", expanded=len(refused) <= MOST_SAID):
        st.markdown("\n".join(f"- {plain(one)}" for one in refused))


def _forget(run: Run) -> None:
    remove(run, acting())
    st.query_params[NEW_LINE] = FORM


def _folder() -> tuple[Path | None, int]:
    roots = settings().source_roots
    if not roots:
        st.info(
            "No folder of this server may be read. Whoever runs it names some in "
            '`DEFECTVISION_SOURCE_ROOTS`, for example `["/data/camera"]`.',
            icon=":material/folder_off:",
        )
        return None, 0
    path = st.text_input(
        "Folder",
        key=_key("path"),
        persist_state="session",
        placeholder=str(roots[0] / "good-parts"),
        help="On the machine that runs DefectVision, below "
        f"{', '.join(map(str, roots))}. All images in it are of good parts; of a folder of class "
        "folders or an index.csv, those that are labelled good are learned from.",
    ).strip()
    if not path:
        return None, 0
    try:
        found, count = _counted(path, tuple(roots))
    except (NotAllowedError, OSError) as error:
        words = str(error) if isinstance(error, NotAllowedError) else f"{path}: {error.strerror}"
        st.error(plain(words), icon=":material/folder_off:")
        return None, 0
    return found, count


@st.cache_data(ttl=FOLDER_SECONDS, show_spinner="Counting the images")
def _counted(path: str, roots: tuple[Path, ...]) -> tuple[Path, int]:
    return allowed_folder(Path(path), roots)


def _start(
    run: Run | None,
    title: str,
    folder: Path | None,
    count: int,
    keep: bool,
    store: Store,
    person: Person,
) -> None:
    if lacks_torch():
        words = without_torch(line_name(title) or "NAME")
        st.info(plain(words), icon=":material/computer_cancel:")
        return
    busy = running_in(runs_folder()) is not None
    if busy:
        st.info(plain(f"{other_runs(runs_folder())}."), icon=":material/hourglass_top:")
    pressed = st.button(
        "Start learning",
        type="primary",
        icon=":material/play_arrow:",
        width="stretch",
        disabled=busy or count < LEAST_GOOD or not person.may(Action.TEACH),
    )
    if settings().trusted_keys:
        st.caption(
            "This server loads signed bundles alone. Once the line is learned, whoever holds a key "
            "signs it with `defectvision sign`."
        )
    if not pressed:
        return
    started = run or new_run(runs_folder())
    try:
        start_training(
            store,
            started,
            title,
            folder,
            settings().source_roots,
            settings().weights,
            acting(),
            keep,
        )
    except (TrainingError, NotAllowedError, OSError) as error:
        if run is None:
            remove(started, acting())
        st.error(plain(str(error)), icon=":material/error:")
        return
    empty_form()
    st.query_params[NEW_LINE] = started.id
    st.rerun()
