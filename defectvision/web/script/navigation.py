"""The script of every session: the frame around the pages.

It does not stand beside `pages/`: Streamlit would take that folder for pages of their own where a
server's first visitor comes by a link to one of them. Nor beside any package: while it runs, its
folder comes first where modules are looked for, and `web/inspect` would hide Python's own `inspect`
from the processes that open a labelled set.
"""

from __future__ import annotations

from pathlib import Path

# A file: a Material icon here would be fetched from the internet.
ICON = Path(__file__).with_name("icon.svg")
STYLE = Path(__file__).with_name("page.css")
SCRIPTS = [Path(__file__).with_name(name) for name in ("keys.js", "name.js")]


def run() -> None:
    """Draw the frame, and the page that is open in it."""
    import streamlit as st

    from defectvision.web.links import PAGES
    from defectvision.web.script.failure import explain, words_of
    from defectvision.web.session.people import let_in
    from defectvision.web.widgets import OPEN_PAGE

    st.set_page_config(
        page_title="DefectVision",
        page_icon=ICON.read_text(encoding="utf-8"),
        layout="wide",
        initial_sidebar_state=256,
    )
    with st.container(key="keys"):
        style = STYLE.read_text(encoding="utf-8")
        script = "".join(file.read_text(encoding="utf-8") for file in SCRIPTS)
        # Not st.html, which a slow machine draws seconds after the page.
        st.markdown(f"<style>{style}</style>", unsafe_allow_html=True)
        st.html(f"<script>{script}</script>", unsafe_allow_javascript=True)
    if not let_in():
        return
    page = st.navigation(
        [
            st.Page(
                PAGES / "inspect.py",
                title="Inspect",
                icon=":material/center_focus_strong:",
                default=True,
                help="Drop images in; see label, probability, verdict and the heatmap behind them.",
            ),
            st.Page(
                PAGES / "batches.py",
                title="Batches",
                icon=":material/inventory_2:",
                help="Many images at once: a lot, a shift, a folder that a camera writes to.",
            ),
            st.Page(
                PAGES / "results.py",
                title="Results",
                icon=":material/table_view:",
                help="A batch under the policy: filter, look, export, report.",
            ),
            st.Page(
                PAGES / "changes.py",
                title="Changes",
                icon=":material/compare_arrows:",
                visibility="hidden",  # reached from a batch that was inspected again
            ),
            st.Page(
                PAGES / "review.py",
                title="Review",
                icon=":material/how_to_reg:",
                help="Decide on doubtful parts, and see how far people and model agree.",
            ),
            st.Page(
                PAGES / "floor.py",
                title="Shop floor",
                icon=":material/tv:",
                help="The part that was inspected last, its verdict to be read from afar.",
            ),
            st.Page(
                PAGES / "audit.py",
                title="Audit",
                icon=":material/history_edu:",
                help="Who changed what: policies, batches, releases, deletions.",
            ),
            st.Page(
                PAGES / "dataset.py",
                title="Dataset",
                icon=":material/database:",
                help="A labelled set: balance, defects, near-copies, leaks and shortcuts.",
            ),
            st.Page(
                PAGES / "label.py",
                title="Label",
                icon=":material/label:",
                help="Say what images show, draw where, and learn a bundle from them.",
            ),
            st.Page(
                PAGES / "evaluate.py",
                title="Evaluate",
                icon=":material/fact_check:",
                help="How good a bundle is, what its mistakes cost, where the thresholds stand.",
            ),
            st.Page(
                PAGES / "lines.py",
                title="Lines",
                icon=":material/view_list:",
                help="The lines and their bundles: classes, policy, metrics and provenance.",
            ),
            st.Page(
                PAGES / "access.py",
                title="Access",
                icon=":material/key:",
                help="Who may do what: your account, those of others, and tokens for programs.",
            ),
        ],
        position="top",
    )
    st.session_state[OPEN_PAGE] = page.url_path
    try:
        page.run()
    except Exception as error:
        if words_of(error) is None:
            raise
        explain(error)


# A process that is started from a session runs this file under another name, and draws nothing.
if __name__ == "__main__":
    run()
