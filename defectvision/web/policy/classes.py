"""The policy's numbers for regions: the smallest one, where masks end, the scale in mm per px."""

from __future__ import annotations

from functools import partial

import streamlit as st

from defectvision.bundle.policy import Policy
from defectvision.bundle.schema import LoadedBundle
from defectvision.web.policy.changes import change
from defectvision.web.session.work import Work
from defectvision.web.widgets import policy_number
from defectvision.words import plain

PROBABILITY = {"min_value": 0.0, "max_value": 1.0, "step": 0.05, "format": "%.2f"}
LARGEST_REGION = 1_000_000  # px, the most that can be asked of a region


def mask_controls(work: Work, loaded: LoadedBundle, policy: Policy) -> None:
    """Widgets for what the bundle can do: nothing where it neither segments nor names several
    classes on a part."""
    segments = bool(loaded.bundle.mask_classes)
    if not segments and loaded.line.label_mode != "multilabel":
        return
    which = f"{loaded.line.name}/{loaded.bundle.name}"
    if segments:
        _scale(work, loaded, policy, which)
    title = "Regions and thresholds" if segments else "Thresholds of the classes"
    with st.expander(title, icon=":material/tune:", key=f"masks-{which}"):
        if segments:
            policy_number(
                "Smallest region, px",
                f"smallest-{which}",
                policy.smallest_region_px,
                lambda value: work.policies.change(loaded, smallest_region_px=value or 0),
                min_value=0,
                max_value=LARGEST_REGION,
                step=1,
                help="Connected areas with fewer px of the image are left out everywhere.",
            )
        _class_thresholds(work, loaded, policy, which)


def _class_thresholds(work: Work, loaded: LoadedBundle, policy: Policy, which: str) -> None:
    """One row per class: from which probability on it is named, and a px belongs to its mask."""
    columns: list[tuple[str, str, tuple[str, ...]]] = []
    if loaded.line.label_mode == "multilabel":
        columns.append(("named from", "class_thresholds", loaded.line.class_names))
    if loaded.bundle.mask_classes:
        columns.append(("mask from", "mask_thresholds", loaded.bundle.mask_classes))
    sizes = [1.1, *[1.0] * len(columns)]
    for place, (heading, _, _) in zip(st.columns(sizes)[1:], columns, strict=True):
        place.caption(heading.capitalize())
    shown = [n for n in loaded.line.class_names if any(n in names for *_, names in columns)]
    for name in shown:
        title = loaded.line.title_of(name)
        first, *places = st.columns(sizes, vertical_alignment="center")
        first.markdown(plain(title))
        for place, (heading, field, names) in zip(places, columns, strict=True):
            if name not in names:
                continue
            value = getattr(policy, field).get(name, 0.5)
            policy_number(
                f"{plain(title)}: {heading}",
                f"{field}-{name}-{which}",
                value,
                partial(_set_class, work, loaded, field, name),
                container=place,
                label_visibility="collapsed",
                **PROBABILITY,
            )


def _set_class(work: Work, loaded: LoadedBundle, field: str, name: str, value: float) -> None:
    work.policies.set_class_value(loaded, field, name, value)


def _scale(work: Work, loaded: LoadedBundle, policy: Policy, which: str) -> None:
    policy_number(
        "Scale, mm per px",
        f"scale-{which}",
        policy.mm_per_px,
        partial(_set_scale, work, loaded),
        value=None,
        min_value=0.0,
        step=0.01,
        format="%0.5g",
        placeholder="unknown",
        help="Regions are measured in mm where it is known. The ruler beside the picture finds it "
        "from a length that you know.",
    )


def _set_scale(work: Work, loaded: LoadedBundle, value: float | None) -> None:
    change(work, loaded, mm_per_px=value or None)
