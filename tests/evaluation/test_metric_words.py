"""Every metric that evaluation can produce has a name and a meaning, the same ones everywhere."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from defectvision.bundle.line import DefectClass, Line
from defectvision.bundle.policy import UNMEASURED, Policy
from defectvision.bundle.reader import load_bundle
from defectvision.bundle.schema import Measure, Metrics
from defectvision.bundle.words import FITS, METRICS, PRECISIONS, metric_words
from defectvision.bundle.writer import record_metrics
from defectvision.data.catalog import Catalog, catalog_table
from defectvision.evaluation.evaluate import measured
from defectvision.evaluation.segmentation import PixelCounts
from defectvision.web.lines.card import class_rows, identity, metric_rows
from tests.stand_ins.bundles import write_bundle


def line_of(mode: str) -> Line:
    kinds = {"ok": "ok", "a": "defect", "b": "defect"}
    classes = tuple(
        DefectClass(name=n, title=n, kind=k, colour="#000000")
        for n, k in kinds.items()
        if mode == "multiclass" or k == "defect"
    )
    return Line(name="x", title="X", classes=classes, label_mode=mode, default_bundle="b")


def answers_of(mode: str):
    """What `ask` collects of a line that segments and finds its part."""
    from defectvision.evaluation.answers import Answers

    line = line_of(mode)
    labels = ["a", "b", "ok" if mode == "multiclass" else ""]
    columns = {"path": ["0", "1", "2"], "label": labels}
    catalog = Catalog("/nowhere", catalog_table(columns), "set")
    answers = Answers(catalog, line, SimpleNamespace(mask_classes=("a", "b")), Policy())
    for row in range(3):
        mask = np.zeros((2, 1, 4), bool)
        answers._probabilities.append([0.6] * len(line.classes))
        answers.objections.append("")
        answers.pixels.append(PixelCounts.of(mask, mask))
        answers.segmented.append(row)
        answers._measured.append(UNMEASURED)
        answers.rows.append(row)
    answers.inside.append(0.9)
    return answers


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["multiclass", "multilabel"])
def test_every_metric_of_an_evaluation_is_in_the_vocabulary(mode):
    from defectvision.training.quantize import GUARDED

    values = measured([answers_of(mode)], split="x").metrics.values
    keys = {key.partition("/")[0] for key in values} | {*GUARDED, "calibration_error"}
    assert {"mean_iou", "evidence_inside", "escapes", "auc"} <= keys
    assert keys <= METRICS.keys()
    assert all(METRICS[key].title and METRICS[key].meaning for key in keys)


def test_titles_tell_all_metrics_apart():
    titles = [words.title for words in METRICS.values()]
    assert len(set(titles)) == len(titles)
    assert metric_words("iou/crack").title == "IoU, class crack"
    assert metric_words("unheard_of").title == "unheard_of"


def test_the_card_and_the_page_call_each_metric_the_same(tmp_path):
    folder = write_bundle(tmp_path, "casting", "resnet50")
    values = {key: Measure(value=0.5, low=0.4, high=0.6) for key in METRICS}
    values["iou/def"] = Measure(value=0.5)
    record_metrics(
        folder,
        Metrics(split="all", data="set", images=2, groups=2, policy=Policy(), values=values),
    )
    card = (folder / "README.md").read_text()
    page = metric_rows(values)
    for title, meaning in zip(page["Metric"], page["Meaning"], strict=True):
        plain = title.replace("\\", "")
        assert f"| {plain} | 0.5000 | 0.4000 to 0.6000 | {meaning} |" in card
    assert "| IoU, class def | 0.5000 |  |" in card and "IoU" in class_rows(values)
    loaded = load_bundle(tmp_path, "casting")
    shown = dict(identity(loaded))
    assert shown["Precision"] == PRECISIONS["fp32"]
    assert PRECISIONS["fp32"].capitalize() in card
    assert FITS["round_part"] in shown["Input"] and FITS["round_part"] in card
