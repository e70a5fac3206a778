"""An evaluation as one HTML file that opens anywhere, without a network."""

from __future__ import annotations

from typing import TYPE_CHECKING

from defectvision.bundle.policy import in_words, thresholds_in_words
from defectvision.bundle.words import INTERVALS, metric_words
from defectvision.evaluation.consequences import consequence
from defectvision.evaluation.promises import Promise, percent
from defectvision.report.dataset.html import dataset_html
from defectvision.report.evaluation.content import GROUPS, Content, worst_rows
from defectvision.report.evaluation.words import consequence_words
from defectvision.words import counted

if TYPE_CHECKING:
    import plotly.graph_objects as go

Table = tuple[str, str, list[str], list[tuple[object, ...]]]


def evaluation_html(content: Content) -> str:
    """The whole report. All text that comes from outside is escaped by the page."""
    about, kept = content.kept.about, content.kept
    groups = int(kept.groups.max(initial=-1)) + 1
    policy = in_words(content.policy, about.line, about.mask_classes)
    subtitle = (
        f"Bundle {about.bundle} (version {about.version}) on {about.data}: "
        f"{counted(len(kept), 'image')} of {counted(groups, 'photo group')}. Policy: {policy}. "
        + INTERVALS
    )
    return dataset_html(
        about.line.title, subtitle, content.warnings, _sections(content), _tables(content),
        kind="evaluation",
    )  # fmt: skip


def _sections(content: Content) -> list[tuple[str, list[tuple[go.Figure, str]]]]:
    from defectvision.report.evaluation import figures

    line = content.kept.line
    verdicts = [(figures.verdict_figure(content.verdicts), consequence_words(content.consequence))]
    if line.label_mode == "multiclass":
        sentence = "Each row is one true class; off the diagonal the label is wrong."
        verdicts.append((figures.confusion_figure(content.confusion, line), sentence))
    verdicts.append((figures.class_figure(content.classes), "With 95 % intervals."))
    sections = [("What becomes of the parts", verdicts)]
    scores = []
    if len(content.histogram) and line.can_accept:
        sentence = "Shaded: what the policy accepts, has reviewed, rejects."
        scores.append((figures.histogram_figure(content.histogram, content.policy), sentence))
    if content.roc.area:
        sentence = f"Area under the curve {_with_interval(*content.roc.area)}."
        scores.append((figures.roc_figure(content.roc), sentence))
    if content.precision.area:
        sentence = (
            f"Average precision {_with_interval(*content.precision.area)}, with the share of "
            "defective parts that these images have."
        )
        scores.append((figures.precision_figure(content.precision), sentence))
    if content.reliability.error:
        sentence = f"Expected calibration error {_with_interval(*content.reliability.error)}."
        scores.append((figures.reliability_figure(content.reliability), sentence))
    if scores:
        sections.append(("Scores", scores))
    if content.detections:
        found = [(figures.detection_figure(one), one.words) for one in content.detections]
        sections.append(("From which length on defects are found", found))
    return sections


def _promised(content: Content, promise: Promise) -> str:
    """What is promised, and how many parts a person looks at for it."""
    if promise.policy is None:
        return promise.words
    reviews = consequence(content.kept, promise.policy).reviews
    return (
        f"{thresholds_in_words(promise.policy)}. {promise.words} "
        f"{percent(reviews.value or 0.0)} of these parts go to a person."
    )


def _with_interval(value: float, low: float, high: float) -> str:
    return f"{value:.4f} ({low:.4f} to {high:.4f})"


def _tables(content: Content) -> list[Table]:
    tables: list[Table] = []
    if content.promises:
        rows: list[tuple[object, ...]] = [
            (percent(sure.asked), *(_promised(content, one) for one in (sure, average)))
            for sure, average in content.promises
        ]
        tables.append(
            (
                "What can be promised",
                "Of thresholds that these photo groups set, for others from where they came from.",
                ["escapes at most", "95 % sure", "on average (conformal risk control)"],
                rows,
            )
        )
    figures: list[tuple[object, ...]] = [
        (metric_words(name).title, f"{m.value:.4f}", f"{m.low:.4f} to {m.high:.4f}")
        for name, m in (content.kept.about.metrics.values | content.masks).items()
        if m is not None and m.value is not None and m.low is not None and m.high is not None
    ]
    split = f"Under the policy of the evaluation, on: {content.kept.about.metrics.split}."
    tables.append(("Figures", split, ["figure", "value", "95 % interval"], figures))
    worst: list[tuple[object, ...]] = [*worst_rows(content)]
    if worst:
        heads = ["image", "is", "verdict", "defect score", "photo group"]
        tables.append(("Worst mistakes", "The worst first.", heads, worst))
    by_group = content.groups.head(GROUPS)
    columns = ["group", "images", "good", "defective", "escapes", "overkills", "reviews"]
    if (by_group["images"] > 1).any():
        rows = [tuple(row) for row in by_group[columns].itertuples(index=False)]
        tables.append(("Photo groups", "Those with the most errors first.", columns, rows))
    return tables
