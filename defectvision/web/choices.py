"""The lines and bundles that there are, and the widgets that choose one."""

from __future__ import annotations

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from defectvision.bundle.line import Line
from defectvision.bundle.reader import BundleError, find_lines, list_bundles, load_bundle_once
from defectvision.bundle.schema import LoadedBundle
from defectvision.report.lot_words import plain_markdown
from defectvision.settings import settings
from defectvision.words import plain


def readable_lines(notices: DeltaGenerator) -> tuple[Line, ...]:
    """The lines that can be read; what is wrong with the others stands in `notices`, and what to
    do where there is none."""
    lines = find_lines(settings().weights)
    for problem in lines.problems.values():
        notices.error(plain(problem), title="A line cannot be read", icon=":material/error:")
    if not lines.readable:
        notices.info(
            "Put a line's folder into `weights/`, train one with `defectvision train`, or make one "
            "from photographs of good parts on the **Lines** page.",
            title="There is no line yet" if not lines.problems else "No line can be read",
            icon=":material/info:",
        )
    return lines.readable


def choose_line(notices: DeltaGenerator) -> Line | None:
    """The line to inspect; None, with a word in `notices` on what to do, where there is none."""
    titles = {line.name: line for line in readable_lines(notices)}
    if not titles:
        return None
    name = st.selectbox(
        "Line",
        list(titles),
        format_func=lambda name: titles[name].title,
        key="line",
        persist_state="session",
        filter_mode=None,
    )
    return titles[name]


def choose_bundle(line: Line, notices: DeltaGenerator) -> LoadedBundle | None:
    """The bundle to inspect with; asked only where the line has several. None, with the reason in
    `notices`, where it cannot be used."""
    names = bundle_names(line.name)
    bundle = names[0] if names else line.default_bundle
    if len(names) > 1:
        _follow_default(line)
        bundle = st.selectbox(
            "Model",
            names,
            format_func=lambda name: f"{name} (default)" if name == line.default_bundle else name,
            key=f"bundle-{line.name}",
            persist_state="session",
            filter_mode=None,
        )
    try:
        loaded = loaded_bundle(line.name, bundle)
    except BundleError as error:
        notices.error(plain(str(error)), title="The bundle cannot be used", icon=":material/error:")
        return None
    if caution := loaded.bundle.caution:
        st.warning(plain(plain_markdown(caution)), icon=":material/warning:")
    return loaded


def _follow_default(line: Line) -> None:
    """Whoever had the default bundle has the new one after a switch."""
    key, seen = f"bundle-{line.name}", f"default-seen-{line.name}"
    before = st.session_state.get(seen, line.default_bundle)
    if before != line.default_bundle and st.session_state.get(key, before) == before:
        st.session_state[key] = line.default_bundle
    st.session_state[seen] = line.default_bundle


def bundle_names(line: str) -> list[str]:
    """The bundles of a line, the default one first."""
    return list_bundles(settings().weights / line)


def loaded_bundle(line: str, bundle: str) -> LoadedBundle:
    """A bundle whose files were checked against their hashes; raises BundleError."""
    return load_bundle_once(settings().weights, line, bundle, settings().limits.trusted)
