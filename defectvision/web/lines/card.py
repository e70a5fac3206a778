"""One bundle as people should read it before they trust it, from bundle.json and its README."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import streamlit as st

from defectvision.bundle.policy import in_words, thresholds_in_words
from defectvision.bundle.schema import CARD_FILE, Bundle, LoadedBundle, Measure, Metrics
from defectvision.bundle.words import (
    FITS,
    INTERVALS,
    METRICS,
    PRECISIONS,
    calibration_words,
    metric_words,
)
from defectvision.report.lot_words import plain_markdown
from defectvision.web import cards
from defectvision.words import counted, plain

# Metrics of one class each, in the order of their columns.
OF_A_CLASS = ("auc", "iou", "dice", "detection", "false_alarm")
LEAKING = (
    "These photographs, or others of the same parts, were seen in training. The figures measure "
    "memory, not skill; do not quote them."
)


def bundle_card(loaded: LoadedBundle, here: Sequence[tuple[str, str]] = ()) -> None:
    """Identity, policy, figures with what they were measured on, and where it all comes from.
    here: what is known of it on this machine."""
    bundle = loaded.bundle
    st.html(cards.facts([*identity(loaded), *here], "left"))
    if caution := bundle.caution:
        st.warning(plain(plain_markdown(caution)), icon=":material/warning:")
    if not bundle.metrics:
        st.warning(
            "No figures came with this bundle. Evaluate it before you rely on it.",
            icon=":material/warning:",
        )
    # Honest figures first.
    for number, metrics in enumerate(sorted(bundle.metrics, key=lambda m: m.seen)):
        measured(metrics, loaded.line.can_accept, key=f"{bundle.line}-{bundle.name}-{number}")
    readme = loaded.folder / CARD_FILE
    with st.expander("Provenance", icon=":material/history_edu:"):
        st.html(cards.facts(provenance(bundle.provenance), "left"))
        counts = bundle.provenance.get("images")
        if isinstance(counts, Mapping):
            st.table(_counts(counts), border="horizontal", width="content", alt="Images by split")
    if readme.is_file():
        with st.expander("Model card (README.md of the bundle)", icon=":material/description:"):
            # As it was written: its author may be anybody, and Markdown loads pictures.
            text = readme.read_text(encoding="utf-8", errors="replace")
            st.code(text, language=None, wrap_lines=True)


def identity(loaded: LoadedBundle) -> list[tuple[str, str]]:
    """What the model is and how an image gets into it."""
    bundle, how = loaded.bundle, loaded.bundle.preprocessing
    rows = [
        ("Version", loaded.version),
        ("Signed", loaded.signed),
        ("Architecture", f"{bundle.architecture}, evidence pooled by {bundle.pooling}"),
        ("Input", f"{how.width} × {how.height} px, {_channels(how.channels)}, {FITS[how.fit]}"),
        ("Precision", PRECISIONS[bundle.precision]),
        ("Calibration", calibration_words(bundle)),
        ("Default policy", in_words(bundle.policy, loaded.line, bundle.mask_classes)),
    ]
    return rows


def _channels(count: int) -> str:
    return "grey" if count == 1 else "colour"


def measured(metrics: Metrics, can_accept: bool, key: str) -> None:
    """Figures of one evaluation; those of images seen in training are marked as leaking."""
    from defectvision.web.lines.confusion import confusion_chart

    with st.container(border=True, key=f"metrics-{key}"):
        mark = "  :orange-badge[:material/warning: leaking]" if metrics.seen else ""
        st.markdown(f"**Measured on: {plain(metrics.split)}**{mark}")
        policy = f" Policy: {thresholds_in_words(metrics.policy)}." if can_accept else ""
        st.caption(
            f"{plain(metrics.data)}: {counted(metrics.images, 'image')} of "
            f"{counted(metrics.groups, 'photo group')}.{policy} {INTERVALS}"
        )
        if metrics.seen:
            st.warning(LEAKING, icon=":material/warning:")
        figures, beside = st.columns([3, 2], gap="medium")
        figures.table(
            metric_rows(metrics.values),
            border="horizontal",
            hide_index=True,
            alt=f"Metrics on {metrics.split}",
        )
        if metrics.confusion:
            beside.plotly_chart(
                confusion_chart(metrics.confusion),
                key=f"confusion-{key}",
                config={"displayModeBar": False},
                alt="Confusion: rows are the true class, columns the label",
            )
        if classes := class_rows(metrics.values):
            st.table(classes, border="horizontal", hide_index=True, alt="Metrics of each class")


def metric_rows(values: Mapping[str, Measure | None]) -> dict[str, list[str]]:
    """Columns of the table of metrics; a figure without an interval says so."""
    rows: dict[str, list[str]] = {"Metric": [], "Value": [], "95 % interval": [], "Meaning": []}
    for name, measure in values.items():
        if measure is None or measure.value is None or "/" in name:
            continue
        title, meaning = metric_words(name)
        known = measure.low is not None and measure.high is not None
        rows["Metric"].append(plain(title))
        rows["Value"].append(f"{measure.value:.4f}")
        interval = f"{measure.low:.4f} to {measure.high:.4f}" if known else "not measured"
        rows["95 % interval"].append(interval)
        rows["Meaning"].append(meaning)
    return rows


def class_rows(values: Mapping[str, Measure | None]) -> dict[str, list[str]]:
    """Columns of the table of metrics of single classes; empty where there are none."""
    by_class: dict[str, dict[str, Measure]] = {}
    for name, measure in values.items():
        metric, _, of = name.partition("/")
        if of and measure is not None and measure.value is not None:
            by_class.setdefault(of, {})[metric] = measure
    shown = [m for m in OF_A_CLASS if any(m in metrics for metrics in by_class.values())]
    if not shown:
        return {}
    rows = {"Class": [plain(name) for name in by_class]}
    for metric in shown:
        rows[METRICS[metric].title] = [_with_interval(m.get(metric)) for m in by_class.values()]
    return rows


def _with_interval(measure: Measure | None) -> str:
    if measure is None:
        return "not measured"
    if measure.low is None or measure.high is None:
        return f"{measure.value:.3f}"
    return f"{measure.value:.3f} ({measure.low:.3f} to {measure.high:.3f})"


def provenance(made: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Where the bundle comes from: data with its licences, split, recipe, code."""
    rows = [("Data", str(made.get("data", "not recorded")))]
    for source in made.get("sources") or []:
        about = f"{source.get('source', '')}. Licence: {source.get('licence', 'not recorded')}"
        rows.append((str(source.get("name", "Source")), about))
    if (groups := made.get("photo_groups")) is not None:
        rows.append(("Photo groups", f"{groups}, each whole on one side of the split"))
    recipe = made.get("recipe") or {}
    if recipe:
        kept = ("name", "architecture", "epochs", "batch_size", "learning_rate", "pretrained")
        said = [f"{key} {recipe[key]}" for key in kept if recipe.get(key) is not None]
        seed = (recipe.get("split") or {}).get("seed")
        if seed is not None:
            said.append(f"split seed {seed}")
        rows.append(("Recipe", ", ".join(said)))
    rows.append(("Made by", f"DefectVision {made.get('defectvision', 'of unknown version')}"))
    return rows


def _counts(images: Mapping[str, int]) -> dict[str, list[str]]:
    rows: dict[str, list[str]] = {"Split": [], "Class": [], "Images": []}
    for key, count in images.items():
        split, _, label = key.partition("/")
        rows["Split"].append(plain(split))
        rows["Class"].append(plain(label))
        rows["Images"].append(str(count))
    return rows


def files(bundle: Bundle) -> list[tuple[str, str]]:
    """Every file of the bundle with the start of its SHA-256."""
    return [(name, digest[:12]) for name, digest in sorted(bundle.files.items())]
