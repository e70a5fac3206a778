"""The card of a bundle that segments and has no confusion matrix."""

from streamlit.testing.v1 import AppTest

from defectvision.bundle.schema import Measure
from defectvision.web.lines.card import class_rows, metric_rows
from defectvision.web.lines.confusion import confusion_chart

VALUES = {
    "auc": Measure(value=0.9, low=0.8, high=1.0),
    "mean_iou": Measure(value=0.5, low=0.25, high=0.75),
    "iou/1": Measure(value=0.5, low=0.25, high=0.75),
    "dice/1": Measure(value=0.6),
    "iou/2": Measure(value=0.125, low=0.0, high=0.5),
    "dice/2": None,
}


def test_metrics_of_classes_have_a_table_of_their_own():
    assert metric_rows(VALUES)["Metric"] == ["AUC", "Mean IoU"]
    assert class_rows(VALUES) == {
        "Class": ["1", "2"],
        "IoU": ["0.500 (0.250 to 0.750)", "0.125 (0.000 to 0.500)"],
        "Dice": ["0.600", "not measured"],
    }
    assert class_rows({"auc": VALUES["auc"]}) == {}


def _page() -> None:
    from defectvision.bundle.policy import Policy
    from defectvision.bundle.schema import Metrics
    from defectvision.web.lines.card import measured
    from tests.web.lines.test_card import VALUES

    metrics = Metrics(
        split="5-fold", data="strips", images=46, groups=46, policy=Policy(), values=VALUES
    )
    measured(metrics, True, "x")


def test_a_card_without_a_confusion_is_drawn():
    drawn = AppTest.from_function(_page, default_timeout=60).run()
    assert not drawn.exception
    assert [next(iter(table.value.columns)) for table in drawn.table] == ["Metric", "Class"]


def _choice() -> None:
    import streamlit as st

    from defectvision.bundle.reader import read_line
    from defectvision.settings import ROOT
    from defectvision.web.choices import choose_bundle

    for name in ("severstal-strip", "casting"):
        choose_bundle(read_line(ROOT / "weights" / name), st.container())


def test_who_chooses_a_bundle_is_told_what_to_know_first():
    """The few-shot line warns, on the pages that inspect, in one line that opens to the rest; the
    casting bundle has no caution."""
    drawn = AppTest.from_function(_choice, default_timeout=60).run()
    assert not drawn.exception
    (caution,) = drawn.expander
    assert "learned from 46 strips" in caution.label and "not fit" not in caution.label
    (rest,) = caution.markdown
    assert "it is not fit to inspect with" in rest.value and "46 strips" not in rest.value


def test_every_count_of_a_confusion_is_read_in_both_themes():
    counts = {"1": {"1": 65, "<b>": 0}, "<b>": {"1": 2, "<b>": 1232}}
    chart = confusion_chart(counts)
    (cells,) = chart.data
    assert cells.texttemplate is None  # whose colour is chosen as if the page were white
    written = {(note.y, note.x): (note.text, note.font.color) for note in chart.layout.annotations}
    assert written == {
        ("1", "1"): ("65", "white"),
        ("1", "&lt;b&gt;"): ("0", None),
        ("&lt;b&gt;", "1"): ("2", None),
        ("&lt;b&gt;", "&lt;b&gt;"): ("1,232", "white"),
    }
    assert chart.layout.xaxis.type == chart.layout.yaxis.type == "category"
