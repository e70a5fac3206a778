"""How large a bundle is, and how fast on this machine."""

from __future__ import annotations

import streamlit as st

from defectvision.bundle.schema import MODEL_FILE, LoadedBundle
from defectvision.inference.speed import Look, look_at_speed, measure_speed
from defectvision.people import Action, Person
from defectvision.settings import settings
from defectvision.words import in_utc

LOOK_SECONDS = 1.0
MB = 1e6


def speed_button(loaded: LoadedBundle, look: Look, person: Person) -> None:
    """What measures it here, or the word that it is being measured."""
    if look.running:
        st.fragment(_wait, run_every=LOOK_SECONDS)(loaded)
    elif person.may(Action.INSPECT):
        st.button(
            "Measure speed here" if look.measured is None else "Measure speed again",
            key=f"speed-{loaded.line.name}-{loaded.bundle.name}",
            icon=":material/speed:",
            on_click=measure_speed,
            args=(loaded, settings().cache),
            help="Inspects a made picture of the size of the model's input some forty times, in a "
            "process of its own. Other work on this machine makes it slower.",
        )


def speed_facts(loaded: LoadedBundle, look: Look) -> list[tuple[str, str]]:
    """What the bundle takes on this machine, in rows of a list."""
    return [("Size", size_in_words(loaded)), ("Speed here", in_words(look))]


def _wait(loaded: LoadedBundle) -> None:
    st.caption(":material/hourglass_top: Measuring the speed; this takes some seconds.")
    if not look_at_speed(loaded, settings().cache).running:
        st.rerun()


def size_in_words(loaded: LoadedBundle) -> str:
    """ "47.2 MB model, 94.7 MB with all files" """
    sizes = {name: (loaded.folder / name).stat().st_size for name in loaded.bundle.files}
    return f"{sizes[MODEL_FILE] / MB:.1f} MB model, {sum(sizes.values()) / MB:.1f} MB in all"


def in_words(look: Look) -> str:
    """ "5.1 ms an image (median; 95 % within 5.9 ms)", and under which conditions."""
    found = look.measured
    if found is None:
        return f"not measured: {look.problem}" if look.problem else "not measured yet"
    cores = f"{found.cores} core{'' if found.cores == 1 else 's'}"
    return (
        f"{found.median_ms:.1f} ms an image (median of {found.runs}; 95 % within "
        f"{found.p95_ms:.1f} ms), of it the model {found.model_ms:.1f} ms; loaded in "
        f"{found.load_s:.1f} s. One image of {found.width} × {found.height} px at a time, "
        f"{found.runtime} on {cores}, {in_utc(found.at)}"
    )
