"""What `bundle.json` says: one trained model with all that serving it needs."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, FiniteFloat, field_validator, model_validator

from defectvision.bundle.line import Frozen, Line
from defectvision.bundle.policy import Policy

# The files of a bundle's folder.
ABOUT_FILE = "bundle.json"
LINE_FILE = "line.json"  # one folder up
MODEL_FILE = "model.onnx"
WEIGHTS_FILE = "model.safetensors"  # torch weights, fp16: for fine-tuning and gradient heatmaps
SEEN_FILE = "trained_on.txt"  # the start of the SHA-256 of each image it learned from
HISTORY_FILE = "history.jsonl"  # an object an epoch of its training, for bundle/history.py
FINGERPRINTS_FILE = "fingerprints.npz"  # of those images, see copies/fingerprints.py
CARD_FILE = "README.md"
GATE_FILE = "gate.npz"
PLACES_FILE = "places.npz"  # which good part each remembered place is of, see good_pictures.py
SIGNATURE_FILE = "signature.json"
OWN = "own images"  # kind of a gate's rates: the line's own, which a gate should let pass


class Preprocessing(Frozen):
    """How an image becomes the model's input; travels inside the bundle.

    fit:
        stretch     the whole image, its aspect ratio changed to the input's;
        letterbox   the whole image, its aspect ratio kept, grey bars beside it;
        round_part  the round part is found, made circular, centred and scaled to the same
                    radius, and the table around it is blanked. Where no part is found the
                    image is fitted as by letterbox and `Placed.part_found` is False.
    lighting:
        image       mean and contrast of each image (of its visible part) become 0 and 1, so
                    that no overall brightness can decide. A contrast below `least_contrast` (a
                    standard deviation, grey levels) counts as that, so that noise is not blown
                    up where an image shows little else;
        fixed       grey levels in 0..1 less `mean`, divided by `std`, per channel.
    """

    height: int = Field(ge=32, le=4096)
    width: int = Field(ge=32, le=4096)
    fit: Literal["stretch", "letterbox", "round_part"] = "stretch"
    channels: Literal[1, 3] = 1
    lighting: Literal["image", "fixed"] = "image"
    least_contrast: float = Field(4.0, ge=1, le=128)
    mean: tuple[float, ...] = (0.5,)
    std: tuple[float, ...] = (0.25,)


class Measure(Frozen):
    """A figure with its 95 % interval."""

    value: float | None
    low: float | None = None
    high: float | None = None


class Metrics(Frozen):
    """Figures of one bundle on one set of images.

    seen: whether the model was trained on photographs of these; such figures measure memory.
    """

    split: str
    data: str
    images: int
    groups: int
    seen: bool = False
    policy: Policy
    values: dict[str, Measure | None]
    confusion: dict[str, dict[str, int]] = Field(default_factory=dict)


class Foreign(Frozen):
    """What the training images' embeddings look like, to recognise an image that is not of the
    line: `file` holds mean (D,), components (K, D), scale (K,) and residual (1,); `limit` is the
    distance that 99 of 100 validation images stay below."""

    file: str
    limit: float = Field(gt=0)


class GateRate(Frozen):
    """How many images of one kind the gate sends to review.

    images, groups: that were looked at, none of which set a limit or taught the gate; review:
    their share with its 95 % interval; unknown: the share where nothing of this kind was at hand
    to learn from, None for kinds that nothing is learned from.
    """

    images: int
    groups: int
    review: Measure
    unknown: Measure | None = None


class Gate(Frozen):
    """What must hold before there is a verdict, see inference/gate.py.

    file: of the images that were learned; distance, log_odds: limits of likeness; clipped, dark:
    largest share of white and of black pixels; darkest, brightest: mean grey level; contrast:
    least standard deviation of the grey levels; sharpness: least log ratio of fine to coarse
    differences; scale: fewest px of the image per px of the input; part_needed: whether a round
    part must be found. unseen: the line's own images that set the limits, in words; rates: what
    was measured, the line's own images (OWN) first.
    """

    file: str
    distance: float = Field(gt=0)
    log_odds: float
    clipped: float
    dark: float
    darkest: float
    brightest: float
    contrast: float
    sharpness: float
    scale: float
    part_needed: bool = False
    unseen: str = ""
    rates: dict[str, GateRate] = Field(default_factory=dict)


class Beta(Frozen):
    """A curve of three numbers (Kull et al. 2017, https://proceedings.mlr.press/v54/kull17a.html):
    log-odds of a probability s become a log(s) - b log(1 - s) + c."""

    a: FiniteFloat = Field(gt=0)
    b: FiniteFloat = Field(gt=0)
    c: FiniteFloat


class Isotonic(Frozen):
    """A curve through points, log-odds `before` and `after` it; straight between them, and beyond
    them of slope 1."""

    before: tuple[FiniteFloat, ...] = Field(min_length=1, max_length=1000)
    after: tuple[FiniteFloat, ...] = Field(min_length=1, max_length=1000)

    @model_validator(mode="after")
    def _rises(self) -> Self:
        steps = zip(pairwise(self.before), pairwise(self.after), strict=False)
        falls = any(a >= b or c >= d for (a, b), (c, d) in steps)
        if len(self.before) != len(self.after) or falls:
            raise ValueError("the points of a calibration curve do not rise")
        return self


Curve = Beta | Isotonic
DEFECT_SCORE = "defect score"  # what the one curve of a multiclass line is of


class CalibrationRate(Frozen):
    """Expected calibration error before and after, each on images that the curve was not fitted
    on. gain: of the log loss, mean over the images."""

    before: Measure
    after: Measure
    gain: Measure


class Calibration(Frozen):
    """What probabilities go through after the temperature, see inference/probabilities.py.

    curves: by class on a multilabel line, else DEFECT_SCORE's alone; rates: by the same names;
    fitted_on: in words; images, groups: of those.
    """

    curves: dict[str, Curve] = Field(min_length=1)
    rates: dict[str, CalibrationRate] = Field(default_factory=dict)
    fitted_on: str
    images: int
    groups: int


class Bundle(Frozen):
    """One trained model of a line, from `bundle.json`.

    options: what the architecture was built with besides. calibration: None where the temperature
    is all. mask_classes: the classes of the model's output `masks`, in its order; none where the
    model does not segment. gate: None in a bundle that was made before there was one.
    """

    format: Literal[1] = 1
    line: str
    name: str
    architecture: str
    pooling: Literal["mean", "strongest"] = "mean"
    options: dict[str, Any] = Field(default_factory=dict)
    classes: tuple[str, ...]
    preprocessing: Preprocessing
    temperature: float = Field(1.0, gt=0)
    calibration: Calibration | None = None
    evidence_bias: tuple[float, ...]
    mask_classes: tuple[str, ...] = ()
    policy: Policy
    foreign: Foreign
    gate: Gate | None = None
    precision: Literal["fp32", "fp16-weights", "int8"]
    provenance: dict[str, Any]
    metrics: tuple[Metrics, ...]
    files: dict[str, str]

    @field_validator("provenance")
    @classmethod
    def _can_be_told(cls, value: dict[str, Any]) -> dict[str, Any]:
        """What people are told of it is laid out as training writes it."""
        recipe = value.get("recipe") or {}
        if not isinstance(recipe, dict) or not isinstance(recipe.get("split") or {}, dict):
            raise ValueError("its recipe is not laid out as one")
        sources = value.get("sources") or []
        if not isinstance(sources, list) or not all(isinstance(one, dict) for one in sources):
            raise ValueError("its sources are no list of data sets")
        return value

    @property
    def remembers(self) -> bool:
        """Whether it holds a memory of good parts, which others of them can join."""
        return "vectors" in self.options

    @property
    def caution(self) -> str:
        """What a user of the bundle must know first, in Markdown; empty where there is nothing."""
        return str((self.provenance.get("recipe") or {}).get("caution") or "")


@dataclass(frozen=True)
class LoadedBundle:
    """A bundle whose files have been checked.

    version: short hash of all that its verdicts depend on: bundle.json, which holds the hashes of
    all other files, and what of line.json decides. earlier_version: of bundle.json alone, as
    versions were told before; batches that began under it are the same bundle's. covered: the whole
    hash that `version` is the start of, which a signature is of; signed: by whom, in words.
    """

    folder: Path
    line: Line
    bundle: Bundle
    version: str
    earlier_version: str = ""
    covered: str = ""
    signed: str = ""

    def is_version(self, version: str) -> bool:
        """Whether results of that version are this bundle's."""
        return version in {self.version, self.earlier_version} - {""}


@dataclass(frozen=True)
class Origin:
    """What made a set of results: the line, and the bundle by name and version."""

    line: Line
    bundle: str
    version: str
    mask_classes: tuple[str, ...] = ()

    @classmethod
    def of(cls, loaded: LoadedBundle) -> Origin:
        about = loaded.bundle
        return cls(loaded.line, about.name, loaded.version, about.mask_classes)
