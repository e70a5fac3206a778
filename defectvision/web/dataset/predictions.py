"""What a bundle says about the images of a set under the policy in force, to colour the map by."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import streamlit as st

from defectvision.audit.study import Study
from defectvision.bundle.labels import join_labels
from defectvision.bundle.line import Line
from defectvision.bundle.policy import Measured, Policy, defect_score, labels
from defectvision.bundle.reader import BundleError, load_bundle_once
from defectvision.bundle.schema import LoadedBundle
from defectvision.inference.images import ImageError
from defectvision.settings import settings
from defectvision.store.measured import key_of
from defectvision.web.choices import readable_lines
from defectvision.web.dataset.pictures import picture_file
from defectvision.web.session.store import read_policy_in_force
from defectvision.web.session.work import current
from defectvision.words import counted, plain

PREDICTED = "predicted"  # session key: (study, version of the bundle, rules) -> each image's scores
STEP = 16  # images between two moves of the progress bar

Scores = Mapping[int, tuple[Mapping[str, float], Measured]]


def prediction_controls(study: Study) -> dict[int, str] | None:
    """A line to predict with; the label of each image under the policy in force, once its default
    bundle has seen the whole set."""
    notices = st.container()
    names = [line.name for line in readable_lines(notices)]
    if not names:
        return None
    with st.container(horizontal=True, vertical_alignment="bottom"):
        name = st.selectbox("Line", names, key="map-line", width=240)
        try:
            loaded = load_bundle_once(settings().weights, name, trusted=settings().limits.trusted)
            in_force = read_policy_in_force(current(), loaded, notices)
            if in_force is None:
                return None
            scores = _scores(study, loaded, in_force.policy)
        except (BundleError, OSError) as error:
            notices.error(plain(str(error)), icon=":material/error:")
            return None
    return None if scores is None else labels_under(scores, loaded.line, in_force.policy)


def labels_under(scores: Scores, line: Line, policy: Policy) -> dict[int, str]:
    """The label, as a catalog writes it, that `policy` gives each image by its probabilities and
    by what its rules said."""
    found = {}
    for image, (each, measured) in scores.items():
        standing = policy.standing(defect_score(each, line), measured.verdict)
        found[image] = join_labels(labels(each, standing, policy, line, measured))
    return found


def _scores(study: Study, loaded: LoadedBundle, policy: Policy) -> Scores | None:
    """The probabilities of each image and what the policy's rules say of it, kept for the session:
    thresholds only judge them."""
    kept: dict[tuple[str, str, str], Scores] = st.session_state.setdefault(PREDICTED, {})
    key = study.key, loaded.version, key_of(policy) if policy.rules else ""
    if key not in kept and st.button("Predict all images", icon=":material/play_arrow:"):
        kept[key] = _predict(study, loaded, policy)
    return kept.get(key)


def _predict(study: Study, loaded: LoadedBundle, policy: Policy) -> Scores:
    from defectvision.inference.inspector import load_inspector

    inspector = load_inspector(
        settings().weights, loaded.line.name, loaded.bundle.name, settings().limits
    )
    images = study.pictures["image"].astype(int).tolist()
    bar = st.progress(0.0, "Predicting")
    scores = {}
    for done, inspection in enumerate(inspector.inspect_many(_files(study, images)), 1):
        if not isinstance(inspection, ImageError):
            measured = inspection.measured(policy)
            scores[int(inspection.name)] = inspection.probabilities, measured
        if done % STEP == 0:
            text = f"Predicting: {done:,} of {counted(len(images), 'image')}"
            bar.progress(done / len(images), text)
    bar.empty()
    return scores


def _files(study: Study, images: list[int]) -> Iterator[tuple[str, bytes]]:
    for image in images:
        try:
            yield str(image), picture_file(study.catalog, image)
        except ImageError:  # gone since the set was opened: it has no prediction
            continue
