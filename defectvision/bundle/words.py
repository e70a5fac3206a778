"""What a metric, a precision and a fit are called: the same words in a bundle's card, on the pages
and in a terminal."""

from __future__ import annotations

from typing import NamedTuple

from defectvision.bundle.schema import Beta, Bundle, Calibration, Isotonic, Measure

INTERVALS = "Intervals are 95 %, resampled by photo group; exact where all draws are alike."


# Of what deviates: features of a place see its surroundings, too.
EXTENT = (
    "Regions of a line from good parts are what deviates, which may be several times as large as "
    "the defect in it."
)


def score_words(bundle: Bundle) -> str:
    """What a defect score of the bundle is, in half a sentence."""
    if bundle.remembers:
        return (
            "how far the part is from the good ones that the bundle remembers: one good picture in "
            "a hundred reaches 0.5"
        )
    return "the model's probability that the part is not good"


class MetricWords(NamedTuple):
    """A metric's title, and in half a sentence what it tells."""

    title: str
    meaning: str


# By key of `Metrics.values`. A metric of one class is `key/class` there.
METRICS: dict[str, MetricWords] = {
    "accuracy": MetricWords("Accuracy", "share of images whose label is right"),
    "balanced_accuracy": MetricWords("Balanced accuracy", "mean over the classes of the recall"),
    "macro_f1": MetricWords("Macro F1", "mean over the classes of F1"),
    "auc": MetricWords("AUC", "how well the scores separate the classes, whatever the threshold"),
    "escapes": MetricWords("Escapes", "share of defective parts that were accepted"),
    "overkills": MetricWords("Overkills", "share of good parts that were rejected"),
    "reviews": MetricWords("Reviews", "share of parts sent to review"),
    "evidence_inside": MetricWords(
        "Evidence on the part", "share of positive evidence that lies on the part"
    ),
    "mean_iou": MetricWords("Mean IoU", "mean over the classes of the masks' IoU"),
    "iou": MetricWords("IoU", "of the pixels of all images that hold the class"),
    "dice": MetricWords("Dice", "mean over the images that hold the class"),
    "detection": MetricWords(
        "Detection rate", "share of images with the class in which a mask meets it"
    ),
    "false_alarm": MetricWords(
        "False-alarm rate", "share of images without the class in which one is drawn"
    ),
    "mean_dice": MetricWords(
        "Mean Dice", "over images and classes; an empty pair answered empty counts 1"
    ),
    "mean_dice_empty": MetricWords(
        "Mean Dice of an empty answer", "what finding nothing would get"
    ),
    "pixel_accuracy": MetricWords("Pixel accuracy", "share of pixels whose classes are all right"),
    "calibration_error": MetricWords(
        "Expected calibration error",
        "mean gap between what a probability says and how often it comes true",
    ),
}

PRECISIONS = {
    "fp32": "computed in fp32",
    "fp16-weights": "weights stored as fp16, computed in fp32",
    "int8": "computed in int8",
}

CURVES = {Beta: "beta", Isotonic: "isotonic"}

FITS = {
    "stretch": "the whole image, stretched",
    "letterbox": "the whole image, with bars",
    "round_part": "the round part found and centred",
}


def calibration_words(bundle: Bundle) -> str:
    """What its probabilities go through: "temperature 0.875, then a beta curve"."""
    words = f"temperature {bundle.temperature:.3f}"
    if bundle.calibration is None:
        return words
    kinds = sorted({CURVES[type(curve)] for curve in bundle.calibration.curves.values()})
    one = len(bundle.calibration.curves) == 1
    return f"{words}, then {'a ' if one else ''}{' and '.join(kinds)} curve{'' if one else 's'}"


def calibration_rows(calibration: Calibration) -> list[str]:
    """For each curve what it does on images that it was not fitted on."""
    rows = []
    for name, curve in calibration.curves.items():
        row = f"{name}: {CURVES[type(curve)]} curve"
        if (rate := calibration.rates.get(name)) is not None:
            row += (
                f"; expected calibration error {_with_interval(rate.before)} before, "
                f"{_with_interval(rate.after)} after, where the curve was fitted on other groups"
            )
        rows.append(row)
    return rows


def _with_interval(measure: Measure) -> str:
    known = None not in (measure.value, measure.low, measure.high)
    return f"{measure.value:.3f} ({measure.low:.3f} to {measure.high:.3f})" if known else "unknown"


def metric_words(key: str) -> MetricWords:
    """The words of a key of `Metrics.values`; a metric of one class names it in its title, and a
    key that is not known is its own title."""
    metric, _, class_name = key.partition("/")
    words = METRICS.get(metric, MetricWords(metric, ""))
    return words._replace(title=f"{words.title}, class {class_name}") if class_name else words
