"""The lines and bundles that there are, and the widgets that choose one."""

from __future__ import annotations

import re
from collections.abc import Mapping

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from defectvision.bundle.line import Line
from defectvision.bundle.reader import BundleError, find_lines, list_bundles, load_bundle_once
from defectvision.bundle.schema import LoadedBundle
from defectvision.report.lot_words import plain_markdown
from defectvision.settings import settings
from defectvision.web.links import BUNDLE, LINE, bundle_key, line_address
from defectvision.web.widgets import current_key, key_showing
from defectvision.words import plain

FITS = 16  # characters of a bundle's name, beside "(default)" in the side bar
MOST_SAID = 80  # characters of an address that names nothing here


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
    """The line to inspect: the one of the page's address, else the one that was chosen on another
    page, else the first; None, with a word in `notices` on what to do, where there is none."""
    lines = {line.name: line for line in readable_lines(notices)}
    if not lines:
        return None
    _follow_address(lines, notices)
    name = st.session_state[LINE]

    def chosen(key: str) -> None:
        if key == current_key("line-choice"):
            st.session_state[LINE] = st.session_state[key]
            _tell_address(lines)

    key = key_showing("line-choice", name)
    st.selectbox(
        "Line",
        list(lines),
        format_func=lambda name: lines[name].title,
        key=key,
        filter_mode=None,
        on_change=chosen,
        args=(key,),
    )
    _keep_usable(lines[name])
    _tell_address(lines)
    return lines[name]


def choose_bundle(line: Line, notices: DeltaGenerator) -> LoadedBundle | None:
    """The bundle to inspect with; asked only where the line has several. None, with the reason in
    `notices`, where it cannot be used."""
    names, choice = bundle_names(line.name), f"bundle-choice-{line.name}"
    bundle = st.session_state.get(bundle_key(line.name), names[0] if names else line.default_bundle)

    def chosen(key: str) -> None:
        if key == current_key(choice):
            st.session_state[bundle_key(line.name)] = st.session_state[key]
            _tell_address({line.name: line})

    if len(names) > 1:
        key = key_showing(choice, bundle)
        st.selectbox(
            "Model",
            names,
            format_func=lambda name: bundle_words(name, line),
            help=plain(f"The default of this line is {line.default_bundle}."),
            key=key,
            filter_mode=None,
            on_change=chosen,
            args=(key,),
        )
    try:
        loaded = loaded_bundle(line.name, bundle)
    except BundleError as error:
        notices.error(plain(str(error)), title="The bundle cannot be used", icon=":material/error:")
        return None
    _caution(loaded.bundle.caution)
    return loaded


def bundle_words(name: str, line: Line) -> str:
    """A bundle's name, and whether it is the line's default one; of a long name the middle is left
    out, so that this is in sight in a narrow place."""
    if name != line.default_bundle:
        return name
    if len(name) > FITS:
        name = f"{name[: FITS // 2 - 1]}…{name[-FITS // 2 :]}"
    return f"{name} (default)"


def _caution(text: str) -> None:
    """What must be known of a bundle: its first sentence, and the rest when somebody opens it, as
    the controls below must stay in sight."""
    found = re.match(r"\*\*(.+?)\*\*|.+?[.!?](?=\s|$)", text.strip(), re.DOTALL)
    if not found:
        return
    first, rest = found[1] or found[0], text.strip()[found.end() :]
    first, rest = (plain(plain_markdown(part)) for part in (first, rest))
    if not rest:
        st.warning(first, icon=":material/warning:")
        return
    with st.expander(f":orange[**{first}**]", icon=":material/warning:", key="caution"):
        st.markdown(rest)


def _follow_address(lines: Mapping[str, Line], notices: DeltaGenerator) -> None:
    """Choose what the page's address names; where there is no such line or bundle, say so in
    `notices`."""
    if st.session_state.get(LINE) not in lines:
        st.session_state[LINE] = next(iter(lines))
    asked = st.query_params.get(LINE)
    if asked is None:
        return
    if asked not in lines:
        _not_there(f"line '{asked[:MOST_SAID]}'", lines[st.session_state[LINE]].title, notices)
        return
    names = bundle_names(asked)
    usual = names[0] if names else lines[asked].default_bundle
    bundle = st.query_params.get(BUNDLE, usual)
    if bundle != usual and bundle not in names:
        what = f"model '{bundle[:MOST_SAID]}' of the line {lines[asked].title}"
        _not_there(what, usual, notices)
        bundle = usual
    st.session_state[LINE] = asked
    st.session_state[bundle_key(asked)] = bundle


def _not_there(what: str, chosen: str, notices: DeltaGenerator) -> None:
    notices.warning(
        f"The address of this page names the {plain(what)}, and there is none. Chosen is "
        f"**{plain(chosen)}**; choose another one on the left.",
        icon=":material/link_off:",
    )


def _tell_address(lines: Mapping[str, Line]) -> None:
    """Let the page's address name what is chosen, so that a page that is loaded again shows it
    again: the line, and the bundle where it is not the default one."""
    line = st.session_state[LINE]
    bundle = st.session_state.get(bundle_key(line))
    said = {k: v for k, v in st.query_params.to_dict().items() if k not in (LINE, BUNDLE)}
    said |= line_address(line, "" if bundle == lines[line].default_bundle else bundle or "")
    if said != st.query_params.to_dict():
        st.query_params.from_dict(said)


def _keep_usable(line: Line) -> None:
    """Whoever had the default bundle has the new one after a switch, as has whoever had one that is
    gone."""
    key, seen = bundle_key(line.name), f"default-seen-{line.name}"
    before = st.session_state.get(seen, line.default_bundle)
    had = st.session_state.get(key, before)
    names = bundle_names(line.name)
    if had not in names or had == before != line.default_bundle:
        st.session_state[key] = names[0] if names else line.default_bundle
    st.session_state[seen] = line.default_bundle


def bundle_names(line: str) -> list[str]:
    """The bundles of a line, the default one first."""
    return list_bundles(settings().weights / line)


def loaded_bundle(line: str, bundle: str) -> LoadedBundle:
    """A bundle whose files were checked against their hashes; raises BundleError."""
    return load_bundle_once(settings().weights, line, bundle, settings().limits.trusted)
