"""The first page: where to drop images, samples to try, and the words that the pages use."""

from __future__ import annotations

import streamlit as st

from defectvision import __version__
from defectvision.bundle.labels import label_names
from defectvision.bundle.line import Line
from defectvision.bundle.schema import LoadedBundle
from defectvision.bundle.words import score_words
from defectvision.web.cards import colour_swatches
from defectvision.web.inspect.intake import DRAWN_LINES, drawn_samples, file_place
from defectvision.web.links import new_line_way
from defectvision.web.session.people import acting
from defectvision.web.session.work import Work
from defectvision.words import plain

OFFERED = 3  # samples to click
GLOSSARY = {
    "Line": "one inspected product with its classes of defects.",
    "Model": "what learned from the line's training images; a line may have several. Its file "
    "folder is called a bundle.",
    "Defect score": "{score}, from 0 to 1.",
    "Policy": "the thresholds that turn scores into verdicts: accept below one, reject from the "
    "other on. Moving one runs no model.",
    "Verdict": "accept, review or reject. A person's decision stands above the model's.",
    "Review": "a person decides: the score lies between the thresholds, or the picture is not one "
    "that the model can judge.",
    "Unlike the training images": "the picture does not look like what the model has learned from. "
    "It goes to review whatever its score; a high foreign score says so.",
    "Escape": "a defective part that is accepted.",
    "Overkill": "a good part that is rejected.",
    "Heatmap": "what each place of the picture adds to the decision for a class, or against it.",
}


def empty_state(work: Work, line: Line, loaded: LoadedBundle, failed: bool) -> None:
    """What to do while there is nothing to show."""
    score = score_words(loaded.bundle)
    with st.container(horizontal=True, vertical_alignment="center"):
        st.title("DefectVision", width="stretch")
        with st.popover("Help and words", icon=":material/help:"):
            words = {word: said.format(score=score) for word, said in GLOSSARY.items()}
            st.markdown("\n".join(f"- **{word}**: {said}" for word, said in words.items()))
    if failed:
        st.markdown("None of the files could be inspected; each says why beside the upload.")
    what = "its verdict, the reason" if line.can_accept else "the name of its defect"
    st.markdown(
        f"Drop pictures of **{plain(line.title)}** below: each gets {what}, and a heatmap of what "
        f"the model saw{_outlined(loaded)}."
    )
    with st.container(key="drop"):
        file_place(work, line.name, "Drop images or zip files here", "drop-files")
    if line.name in DRAWN_LINES:
        _samples(work, line, loaded)
    st.caption("Classes of this line")
    st.html(colour_swatches(line))
    new_line_way(acting(), "below")
    st.caption(plain(f"DefectVision {__version__}, model {loaded.bundle.name} {loaded.version}"))


def _samples(work: Work, line: Line, loaded: LoadedBundle) -> None:
    """Drawn samples, each inspected by a click on it."""
    known = "the model knows photographs alone and sends it to review" if loaded.bundle.gate else ""
    st.markdown(f"Or try a sample, drawn by the program{known and ': '}{known}.")
    columns = st.columns(OFFERED, gap="small")
    for place, (label, name, data) in enumerate(_offered(line.name)):
        title = ", ".join(map(line.title_of, label_names(label))) or line.titles(())
        with columns[place], st.container(key=f"sample-{place}"):
            st.image(data, width="stretch", alt=f"Drawn sample: {title}")
            st.button(
                plain(f"Try: {title}"),
                key=f"try-{place}",
                width="stretch",
                on_click=work.images.queue,
                args=(line.name, [(name, data)]),
            )


@st.cache_resource(max_entries=8, show_spinner=False)
def _offered(line: str) -> list[tuple[str, str, bytes]]:
    """A few drawings of different classes."""
    drawn = drawn_samples(line, OFFERED, seed=0)
    first: dict[str, tuple[str, str, bytes]] = {}
    for sample in drawn:
        first.setdefault(sample[0], sample)
    others = [sample for sample in drawn if sample not in first.values()]
    return [*first.values(), *others][:OFFERED]


def _outlined(loaded: LoadedBundle) -> str:
    """What the empty page says of the masks that the bundle draws."""
    masked = loaded.bundle.mask_classes
    if not masked:
        return ""
    if not loaded.line.unmasked(masked):
        return ", with its defects outlined and measured"
    return f", with these outlined and measured: {plain(loaded.line.titles(masked))}"
