"""Does something besides the part give the label away? One simple predictor at a time."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from defectvision.data.resampling import drawn_rows, interval

STRONG, NOTABLE = 0.75, 0.65  # AUC
RESAMPLES = 300
SEED = 0
LEAST_IMAGES = 10  # of a class, for an AUC that says anything

# column: (what it is, in words that finish "… gives the label away")
PREDICTORS = {
    "corner_brightness": ("Brightness of the four corners", "another table or another lamp"),
    "border_brightness": ("Brightness of the border", "another background or another lamp"),
    "format": ("File format", "the classes were saved by different programs"),
    "pixels": ("Image size", "the classes were taken or scaled differently"),
    "aspect_ratio": ("Aspect ratio", "the classes were cropped differently"),
    "bytes_per_px": ("Compression", "the classes were compressed differently"),
    "colour": ("Colour or grey", "the classes were saved differently"),
}


def auc(scores: NDArray[np.float64], positive: NDArray[np.bool_]) -> float:
    """Area under the ROC curve from ranks (Mann and Whitney); ties count one half."""
    n, m = int(positive.sum()), int((~positive).sum())
    if not n or not m:
        return float("nan")
    ranks = pd.Series(scores).rank().to_numpy()
    return float((ranks[positive].sum() - n * (n + 1) / 2) / (n * m))


def shortcuts(pictures: pd.DataFrame, labels: Sequence[str], groups: Sequence[str]) -> pd.DataFrame:
    """Rows (label, predictor, title, auc, low, high, higher, strength, images).

    `pictures` as `pictures.measure` gives it, `labels` and `groups` (photo groups) beside its
    rows. For each class against the rest: how well the predictor alone separates them, turned
    so that AUC >= 0.5 (`higher`: the class has the higher values). The 95 % interval resamples
    photo groups, because copies of one photograph are one observation. `strength`: `strong` where
    the interval's lower end is at least 0.75, `notable` at 0.65, else `none`. With two classes
    only one row per predictor is given. The strongest come first.
    """
    truth = np.asarray(labels, dtype=object)
    counts = pd.Series(truth).value_counts()
    classes = [name for name in counts.index if counts[name] >= LEAST_IMAGES]
    if len(counts) == 2:
        classes = sorted(classes)[:1]
    draws = drawn_rows(groups, RESAMPLES, SEED)
    found = []
    for label in classes:
        positive = truth == label
        if len(truth) - positive.sum() < LEAST_IMAGES:
            continue
        for column, (title, reason) in PREDICTORS.items():
            if column not in pictures or pictures[column].nunique() < 2:
                continue
            scores = _scores(pictures[column], positive)
            value = auc(scores, positive)
            turned = value < 0.5
            if turned:
                value, scores = 1 - value, -scores
            if value < NOTABLE:
                low = high = float("nan")
            else:
                sampled = [auc(scores[rows], positive[rows]) for rows in draws]
                low, high = interval(sampled) or (value, value)
            found.append(
                {
                    "label": str(label),
                    "predictor": column,
                    "title": title,
                    "reason": reason,
                    "auc": value,
                    "low": low,
                    "high": high,
                    "higher": not turned,
                    "strength": _strength(low),
                    "images": len(truth),
                }
            )
    columns = [
        "label", "predictor", "title", "reason", "auc", "low", "high", "higher", "strength",
        "images",
    ]  # fmt: skip
    table = pd.DataFrame(found, columns=columns)
    return table.sort_values(["auc", "label"], ascending=[False, True], ignore_index=True)


def _strength(low: float) -> str:
    if np.isnan(low):
        return "none"
    return "strong" if low >= STRONG else "notable" if low >= NOTABLE else "none"


def _scores(values: pd.Series, positive: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Numbers as they are; a text as the share of the class among its bearers."""
    if pd.api.types.is_numeric_dtype(values):
        return values.to_numpy(np.float64)
    return pd.Series(positive).groupby(values.to_numpy()).transform("mean").to_numpy(np.float64)


def warnings(table: pd.DataFrame) -> list[str]:
    """A sentence in plain words for each class that something besides the part gives away."""
    said = []
    for (label, strength), rows in table[table["strength"] != "none"].groupby(
        ["label", "strength"], sort=False
    ):
        how = "strongly" if strength == "strong" else "partly"
        what = "; ".join(
            f"{row.title.lower()}, AUC {row.auc:.2f} ({row.low:.2f} to {row.high:.2f}), perhaps "
            f"{row.reason}"
            for row in rows.itertuples()
        )
        said.append(
            f"Without a look at the part, the class {label} is {how} given away by: {what}. "
            "A model can score well by this alone and fail at the line: check that its evidence "
            "lies on the part, and mix the conditions in new photographs."
        )
    return said
