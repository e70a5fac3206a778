"""Choose and open a labelled set."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

import streamlit as st

from defectvision.audit.background import Opening, open_in_background
from defectvision.roots import NotAllowedError, below_a_root, refuse_leading_out
from defectvision.settings import settings
from defectvision.store.errors import StoreError
from defectvision.web.dataset.labelled import folder_of, labelled_sets
from defectvision.web.dataset.picked import forget
from defectvision.words import plain

DRAWN, OWN = "Drawn samples", "Another folder or file"
LABELLED = "labelled: "  # before the number of a set of the Label page, among the choices
PER_CLASS = 12  # drawn samples
OPENED = "dataset"  # session key: the set that is open, or being opened
ADDRESS = "dataset-address"  # session key: the part of the page's address that names it
LABELS_SECONDS = 2.0  # for which the page waits, so that most sets show their labels at once


def open_controls() -> Opening | None:
    """The widgets that open a set; the set that is open in this session, or being opened. The
    page's address names it, so that a page that is loaded again shows it again."""
    names = ("set", "labelled", "folder")
    asked = {name: st.query_params[name] for name in names if name in st.query_params}
    if asked and asked != st.session_state.get(ADDRESS):
        st.session_state[ADDRESS] = asked
        if _open(asked):
            labelled = asked.get("labelled")
            st.session_state["set"] = asked.get("set", f"{LABELLED}{labelled}" if labelled else OWN)
            st.session_state["set-path"] = asked.get("folder", "")
    asked = choose_set()
    pressed = st.button("Open", type="primary", icon=":material/folder_open:", disabled=not asked)
    if pressed and _open(asked):
        st.session_state[ADDRESS] = asked
    opened = st.session_state.get(OPENED)
    if not isinstance(opened, Opening):
        return None
    if dict(st.query_params) != st.session_state[ADDRESS]:
        st.query_params.from_dict(st.session_state[ADDRESS])
    return opened


def choose_set() -> dict[str, str]:
    """The widgets that choose a set; how an address names it, empty while none is chosen."""
    titles = {name: name for name in settings().data_sets}
    for number, title in labelled_sets().items():
        titles[f"{LABELLED}{number}"] = f"{title} (set {number} of Label)"
    titles |= {DRAWN: DRAWN, OWN: OWN}
    if st.session_state.get("set") not in titles:  # it was taken out of use
        st.session_state.pop("set", None)
    chosen = st.selectbox(
        "Labelled set",
        list(titles),
        format_func=titles.__getitem__,
        key="set",
        persist_state="session",
        filter_mode=None,
    )
    if chosen.startswith(LABELLED):
        return {"labelled": chosen.removeprefix(LABELLED)}
    if chosen != OWN:
        return {"set": chosen}
    text = _own_path()
    return {"folder": text} if text else {}


def open_again(opening: Opening) -> None:
    """Go on with a set whose opening ended early."""
    _follow(open_in_background(opening.path, opening.cache, opening.limit_pixels))


def _own_path() -> str:
    """The path that was typed; empty, with the reason, where no folder may be read."""
    roots = settings().source_roots
    if not roots:
        st.info(
            "No folder of this server may be opened from a page. Whoever runs it names some in "
            '`DEFECTVISION_SOURCE_ROOTS`, for example `["/data"]`, or offers sets by name in '
            "`DEFECTVISION_DATA_SETS`. `defectvision data report` reads any folder.",
            icon=":material/folder_off:",
        )
        return ""
    return st.text_input(
        "Folder, index.csv or COCO file",
        key="set-path",
        persist_state="session",
        placeholder=str(roots[0] / "my-line"),
        help="A path on the machine that runs DefectVision, below "
        f"{', '.join(map(str, roots))}: a folder of class folders, an index.csv, COCO, YOLO, "
        "LabelMe or Pascal VOC annotations, Severstal's train.csv, or a published set as unpacked.",
    ).strip()


def _drawn_samples() -> Path:
    """A set of castings that the program draws, once for all."""
    folder = settings().cache / "drawn castings"
    if not folder.is_dir():
        from defectvision.data.synthetic.samples import write_samples

        settings().cache.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(dir=settings().cache) as beside:
            write_samples("casting", Path(beside) / "drawn", PER_CLASS)
            (Path(beside) / "drawn").rename(folder)
    return folder


def _open(asked: Mapping[str, str]) -> bool:
    """Open the set that an address names; False, with the reason, where it may not be."""
    try:
        path = path_of(asked)
    except (NotAllowedError, StoreError, OSError) as error:
        st.error(plain(str(error)), title="The set was not opened", icon=":material/folder_off:")
        return False
    forget()
    _follow(open_in_background(path, settings().cache, settings().limits.pixels))
    return True


def path_of(asked: Mapping[str, str]) -> Path:
    """Where the set lies that an address names; raises NotAllowedError where it may not be read,
    StoreError and OSError."""
    if "folder" in asked:
        roots = settings().source_roots
        found = below_a_root(Path(asked["folder"]), roots)
        refuse_leading_out(found, roots)
        return found
    if "labelled" in asked:
        return folder_of(asked["labelled"])
    name = asked["set"]
    if name == DRAWN:
        return _drawn_samples()
    if name not in settings().data_sets:
        raise NotAllowedError(name, "no set of this name is offered here", "Choose one below.")
    return settings().data_sets[name]


def _follow(opening: Opening) -> None:
    st.session_state[OPENED] = opening
    opening.labelled.wait(LABELS_SECONDS)
