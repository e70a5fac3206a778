"""An evaluation as it is kept: all that is needed to answer questions about it without a model.

Tables by columns (Parquet), one row an image, a true defect, a predicted region, or an image and
class. Verdicts, labels and all figures are functions of them and a policy, see `outcomes.py`,
`consequences.py`, `charts.py`, `defect_sizes.py` and `comparison.py`.
"""

from __future__ import annotations

import io
import zipfile
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from defectvision.bundle.labels import join_labels, label_names
from defectvision.bundle.line import Line
from defectvision.bundle.policy import Policy
from defectvision.bundle.schema import Metrics
from defectvision.data.resampling import Draws

RESAMPLES = 1000
Seen = Literal["no", "same image", "near-copy", "same photo group"]
UNSEEN: Seen = "no"
ABOUT = "about.json"
PROBABILITY = "p:"  # begins the name of a class's column of probabilities
# The columns of each table besides the classes' probabilities, with their types.
IMAGES = {
    "path": "str", "digest": "str", "truth": "str", "group": "str", "score": "float64",
    "judged": "bool", "objection": "str", "known": "bool", "seen": "str", "inspection": "int64",
    "decided_by": "str",
}  # fmt: skip
DEFECTS = {
    "image": "int64", "class_name": "str", "length_px": "float64", "area_px": "int64",
    "probability": "float64", "hit": "bool",
}  # fmt: skip
REGIONS = {
    "image": "int64", "class_name": "str", "area_px": "int64", "length_px": "float64",
    "width_px": "float64", "probability": "float64", "zones": "str",
}  # fmt: skip
PIXELS = {
    "image": "int64", "class_name": "str", "tp": "int64", "fp": "int64", "fn": "int64",
    "tn": "int64",
}  # fmt: skip
LARGEST_BYTES = 4 << 30  # that the tables of one evaluation may unfold to


class EvaluationError(ValueError):
    """Images that a bundle cannot be evaluated on, or a question that an evaluation cannot answer;
    says why and what to do."""


class Failed(BaseModel):
    """An image that counts in no figure."""

    model_config = ConfigDict(frozen=True)

    name: str
    reason: str
    remedy: str


class About(BaseModel):
    """What an evaluation is of.

    line: as it was then; version: of the bundle; mask_classes: that it outlines; policy: by which
    regions were cut and masks were drawn. data: the images in words; root: the folder that the
    images' paths are below, empty where they are inspections of the store. unknown: which labels
    count as deviations since the line does not know them, in words. metrics: the figures of
    `evaluate` under `policy`; failures: images that could not be used.
    """

    model_config = ConfigDict(frozen=True)

    line: Line
    bundle: str
    version: str
    mask_classes: tuple[str, ...] = ()
    policy: Policy
    data: str
    root: str = ""
    unknown: str = ""
    metrics: Metrics
    failures: tuple[Failed, ...] = ()


@dataclass(frozen=True, eq=False)
class Kept:
    """The tables. Rows are named by their place, 0 to N - 1, everywhere.

    images: a row an image. path: below `About.root`, or the name of an inspection; digest: SHA-256
        of the file; truth: its classes, `|` between several; group: photo group; score: defect
        score, NaN where the line gives none; judged: whether the gate objects to nothing, else
        `objection` says what; known: whether its regions are known; seen: whether the bundle
        learned from it; inspection: its number in the store, -1 for an image of a set; decided_by:
        who said what it is; and a column `p:<class>` for each class of the line.
    defects: a row a connected area of a true mask: its image; length_px: the longer side of the
        smallest rectangle around it; probability: the strongest of the class's mask on it, NaN
        where the bundle does not outline the class; hit: whether the drawn mask touches it.
    regions: a row a region that `About.policy` cuts, as `inference.regions.Region`, those of an
        image in its order; zones: a JSON list of their names.
    pixels: a row an image whose mask is known, and class.
    """

    about: About
    images: pd.DataFrame
    defects: pd.DataFrame
    regions: pd.DataFrame
    pixels: pd.DataFrame

    def __len__(self) -> int:
        return len(self.images)

    @property
    def line(self) -> Line:
        return self.about.line

    @cached_property
    def probabilities(self) -> NDArray[np.float64]:
        """(N, C) in the order of the line's classes."""
        return self.images[[PROBABILITY + name for name in self.line.class_names]].to_numpy()

    @cached_property
    def scores(self) -> NDArray[np.float64]:
        """(N,) defect scores, NaN where the line gives none."""
        return self.images["score"].to_numpy(np.float64)

    @cached_property
    def truth(self) -> NDArray[np.bool_]:
        """(N, C) which classes of the line each image shows."""
        codes, texts = pd.factorize(self.images["truth"])
        names = [set(label_names(str(text))) for text in texts]
        table = np.array([[n in found for n in self.line.class_names] for found in names], bool)
        return table.reshape(-1, len(self.line.class_names))[codes]

    @cached_property
    def defective(self) -> NDArray[np.bool_]:
        """(N,) which images show a defect; all others are good."""
        defects = [self.line.class_names.index(name) for name in self.line.defect_names]
        return np.asarray(self.truth[:, defects].any(1))

    @cached_property
    def judged(self) -> NDArray[np.bool_]:
        return self.images["judged"].to_numpy(bool)

    @cached_property
    def groups(self) -> NDArray[np.int64]:
        """(N,) number of each image's photo group, in the order of their names."""
        return pd.factorize(self.images["group"], sort=True)[0].astype(np.int64)

    @cached_property
    def draws(self) -> Draws:
        """The draws of photo groups that all intervals are of."""
        return Draws.of(self.groups, RESAMPLES)

    @cached_property
    def remembered(self) -> dict[Any, Any]:
        """Answers that take long, by what was asked."""
        return {}

    def take(self, rows: NDArray[Any]) -> Kept:
        """The evaluation of only these images, by row number or as (N,) bool."""
        rows = np.flatnonzero(rows) if rows.dtype == bool else np.asarray(rows, np.int64)
        place = np.full(len(self), -1)
        place[rows] = np.arange(len(rows))

        def kept(table: pd.DataFrame) -> pd.DataFrame:
            new = place[table["image"].to_numpy(np.int64)]
            return table.assign(image=new)[new >= 0].reset_index(drop=True)

        images = self.images.iloc[rows].reset_index(drop=True)
        return Kept(self.about, images, *map(kept, (self.defects, self.regions, self.pixels)))

    @cached_property
    def unseen(self) -> NDArray[np.bool_]:
        """(N,) which images the bundle did not learn from."""
        return self.images["seen"].eq(UNSEEN).to_numpy(bool)

    def as_bytes(self) -> bytes:
        """The evaluation as one file, which `Kept.read` reads."""
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w") as packed:  # Parquet is packed already
            packed.writestr(ABOUT, self.about.model_dump_json())
            for name in TABLES:
                packed.writestr(f"{name}.parquet", getattr(self, name).to_parquet(index=False))
        return file.getvalue()

    @classmethod
    def read(cls, data: bytes) -> Kept:
        """The evaluation that `as_bytes` wrote; raises EvaluationError."""
        try:
            with zipfile.ZipFile(io.BytesIO(data)) as packed:
                if sum(entry.file_size for entry in packed.infolist()) > LARGEST_BYTES:
                    raise EvaluationError("the evaluation is larger than any this program writes")
                about = About.model_validate_json(packed.read(ABOUT))
                tables = [
                    pd.read_parquet(io.BytesIO(packed.read(f"{name}.parquet"))) for name in TABLES
                ]
            _check(tables, about)
            return cls(about, *tables)
        except EvaluationError:
            raise
        except Exception as error:  # damaged bytes break zipfile, pyarrow and pydantic in many ways
            raise EvaluationError(
                f"the evaluation is damaged ({error}). Evaluate the images again"
            ) from error


TABLES = {"images": IMAGES, "defects": DEFECTS, "regions": REGIONS, "pixels": PIXELS}


def table(columns: dict[str, str], rows: list[dict[str, Any]]) -> pd.DataFrame:
    """A table of `rows` with exactly `columns`, be there none."""
    return pd.DataFrame(rows, columns=list(columns)).astype(columns)


def _check(tables: list[pd.DataFrame], about: About) -> None:
    for found, (name, columns) in zip(tables, TABLES.items(), strict=True):
        wanted = set(columns)
        if name == "images":
            wanted |= {PROBABILITY + one for one in about.line.class_names}
        if missing := wanted - set(found.columns):
            raise EvaluationError(
                f"the evaluation has no column '{min(missing)}' in its table of {name}. Evaluate "
                "the images again"
            )
        if name != "images" and len(found) and not found["image"].between(0, len(tables[0])).all():
            raise EvaluationError("the evaluation's tables do not fit together")


def label_sets(names: NDArray[np.bool_], line: Line) -> tuple[NDArray[np.int64], tuple[str, ...]]:
    """The sets of labels that (N, C) bool holds, each as text in the line's order, and (N,) the
    number of each row's."""
    keys = names @ (1 << np.arange(names.shape[1])) if names.shape[1] < 63 else names
    _, first, codes = np.unique(keys, axis=0, return_index=True, return_inverse=True)
    texts = tuple(
        join_labels(name for name, shown in zip(line.class_names, row, strict=True) if shown)
        for row in names[first]
    )
    return codes.ravel().astype(np.int64), texts


def joined(names: NDArray[np.bool_], line: Line) -> NDArray[Any]:
    """(N,) labels as text of (N, C) bool, in the line's order."""
    codes, texts = label_sets(names, line)
    return np.array(texts, object)[codes]
