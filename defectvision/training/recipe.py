"""A recipe: all that decides a training, in one YAML file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import (
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    ValidationError,
    field_validator,
    model_validator,
)

from defectvision import roots
from defectvision.bundle.labels import DEVIATION
from defectvision.bundle.line import Line
from defectvision.bundle.schema import Preprocessing
from defectvision.evaluation.operating_point import MaskAim
from defectvision.limits import SMALL_FILE


class RecipeError(ValueError):
    """A recipe that cannot be read; the message names the file, the field and what it takes."""


Share = Annotated[float, Field(gt=0, le=1)]
Weight = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Balance = Literal["none", "inverse", "effective"]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Split(_Part):
    """Shares of the images; photo groups stay whole.

    folds: where images are too few for a test split of their own, so many models are trained
    besides, each measured on the part that it has not seen; the shipped one learns from all.
    """

    train: float = Field(0.68, gt=0, lt=1)
    val: float = Field(0.12, gt=0, lt=1)
    test: float = Field(0.20, gt=0, lt=1)
    seed: int = 0
    folds: int | None = Field(None, ge=3)


class Augmentation(_Part):
    """How each training image is varied. Shares are of the image's side or contrast."""

    rotation: float = Field(0, ge=0, le=180, description="degrees either way")
    quarter_turns: bool = False
    mirror: bool = True
    upside_down: bool = False
    zoom: float = Field(0.0, ge=0, lt=1)
    stretch: float = Field(0.0, ge=0, lt=1)
    shift: float = Field(0.0, ge=0, lt=1)
    crop: Share | tuple[Share, Share] = Field(
        1.0, description="sides (height, width) of the window that is learned from"
    )
    on_defect: float = Field(0.0, ge=0, le=1, description="share of windows around a defect")
    paste: float = Field(
        0.0, ge=0, le=1, description="share of good images that get another image's defect"
    )
    contrast: float = Field(0.0, ge=0, lt=1)
    gradient: float = Field(0.0, ge=0, description="light that falls off to one side")
    surroundings: float = Field(0.0, ge=0, description="brightness of the table around the part")
    blur: float = Field(0.0, ge=0, description="largest sigma in px")
    noise: float = Field(0.0, ge=0, description="largest standard deviation")


class Imbalance(_Part):
    """sampling: which images are drawn how often; class_weights: how their losses count, by the
    number of their images or as numbers, a mapping from every class of the line to its weight.
    Only the ratio of the numbers matters: they are brought to a mean of 1 over the classes. On a
    multilabel line the classes are the defects.
    """

    sampling: Literal["none", "class", "square_root", "class_and_group"] = "none"
    class_weights: Annotated[
        Annotated[Balance, Tag("rule")] | Annotated[dict[str, Weight], Tag("classes")],
        Discriminator(lambda value: "classes" if isinstance(value, dict) else "rule"),
    ] = "none"


class Masks(_Part):
    """How masks are learned.

    classes: which ones, where the masks of a set cover only some of its defects; all if None;
    losses: name of a loss in training/losses.py and its weight; class_weights: how the pixels of
    each class count, by their number; weight: of all of it against the loss of the label;
    aim: what the thresholds and the smallest region are chosen for, see `choose_mask_policy`.
    """

    classes: tuple[str, ...] | None = Field(None, min_length=1)
    losses: dict[str, float] = Field({"bce_dice": 1.0}, min_length=1)
    class_weights: Balance = "none"
    weight: float = Field(1.0, gt=0)
    aim: MaskAim = "detection"

    @field_validator("losses")
    @classmethod
    def _known(cls, losses: dict[str, float]) -> dict[str, float]:
        from defectvision.training.losses import LOSSES

        unknown = sorted(set(losses) - set(LOSSES))
        if unknown:
            raise ValueError(f"no loss '{unknown[0]}'; known are: {', '.join(sorted(LOSSES))}")
        return losses


class Schedule(_Part):
    """How the learning rate moves.

    cosine falls from it to 0; one_cycle (Smith and Topin 2018, https://arxiv.org/abs/1708.07120)
    rises to it and falls again; plateau multiplies it by 0.3 after `patience` epochs without a
    better loss on the validation images; constant leaves it.
    """

    kind: Literal["cosine", "one_cycle", "plateau", "constant"] = "cosine"
    patience: int = Field(2, ge=0)


class Teacher(_Part):
    """A trained run whose evidence maps the student learns besides the labels.

    windows_until: share of the steps in which the student sees windows of half the side, at a
    quarter of the cost; there the teacher's maps are all it learns from, since a window need not
    hold the defect that the label speaks of.
    run: by folds, each fold is taught by the run's model of the same fold, which has not seen its
    test images either.
    """

    run: Path
    weight: float = Field(1.0, gt=0)
    windows_until: float = Field(0.0, ge=0, le=1)


class Memory(_Part):
    """A line from good parts: nothing is trained, good places are remembered.

    vectors: places that are remembered, of at most `drawn` that are looked at; longest_side: px,
    the pictures are brought to, small ones to twice their size at most; stopped: share of good
    parts that may be stopped, as far as so many parts can promise it; turned: remember each part at
    eight angles, for parts that lie as they fall; folds: every good part is measured by a memory
    that holds neither it nor a near-copy; names: learn the defects that the images show by name,
    too, a head beside the memory; keep_pictures: let the bundle carry small pictures of the
    good parts, with their names, to be shown beside a part that is inspected.
    """

    vectors: int = Field(1000, ge=10, le=20_000)
    drawn: int = Field(60_000, ge=1000)
    longest_side: int = Field(320, ge=64, le=2048)
    stopped: float = Field(0.05, gt=0, lt=1)
    turned: bool = False
    folds: int = Field(5, ge=2)
    names: bool = False
    keep_pictures: bool = False


class Source(_Part):
    """A data set that a recipe is meant for, named in the model card."""

    name: str
    source: str
    licence: str


class Recipe(_Part):
    """All that decides a training, but for the images and the line."""

    sources: tuple[Source, ...] = ()
    caution: str = Field("", description="what a user of the model must know first")
    architecture: str
    options: dict[str, Any] = Field({}, description="the architecture's own")
    pooling: Literal["mean", "strongest"] = "mean"
    drop_path: float = Field(0.0, ge=0, lt=1)
    pretrained: str = Field(
        "none", description="none, auto (package, else the project's, else hub), hub, or a file"
    )
    preprocessing: Preprocessing
    split: Split = Split()
    augmentation: Augmentation = Augmentation()
    imbalance: Imbalance = Imbalance()
    masks: Masks | None = Field(None, description="None learns labels alone")
    memory: Memory | None = Field(None, description="learn from good parts")
    teacher: Teacher | None = None
    frozen: bool = Field(
        False,
        description="learn the head alone, on a pretrained backbone that stays as it is: labels "
        "alone, in the time of one look at each image",
    )
    epochs: int = Field(5, ge=1)
    samples_per_epoch: int | None = Field(None, ge=1, description="default: all training images")
    batch_size: int = Field(32, ge=1)
    learning_rate: float = Field(0.001, gt=0)
    fresh_rate: float = Field(
        1.0, gt=0, description="times the learning rate, for layers outside a pretrained backbone"
    )
    schedule: Schedule = Schedule()
    warmup_steps: int = Field(0, ge=0, description="steps in which a cosine rises")
    weight_decay: float = Field(0.0, ge=0)
    gradient_clip: float = Field(0.0, ge=0, description="largest norm; 0 does not clip")
    label_smoothing: float = Field(0.0, ge=0, lt=1)
    ema: float = Field(0.0, ge=0, lt=1, description="decay of the averaged weights; 0 keeps none")
    keep: Literal["best", "last"] = Field(
        "best",
        description="whose weights: of the epoch that fits `val` best, or of the last one where "
        "`val` is too small to tell them apart",
    )
    small_until: float = Field(0.0, ge=0, le=1, description="share of the steps at half the side")
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    tracking: Literal["tensorboard", "wandb", "none"] = "tensorboard"
    seed: int = 0

    @model_validator(mode="after")
    def _frozen_fits(self) -> Self:
        unfit = {
            "masks": self.masks is not None,
            "memory": self.memory is not None,
            "teacher": self.teacher is not None,
            "pooling: strongest": self.pooling != "mean",
            "pretrained: none": self.pretrained == "none",
        }
        if self.frozen and any(unfit.values()):
            names = ", ".join(name for name, given in unfit.items() if given)
            raise ValueError(f"frozen: the head alone cannot be learned with {names}")
        return self

    def mask_classes(self, line: Line) -> tuple[str, ...]:
        """The names of the classes whose masks are learned, in the line's order.

        Raises RecipeError for a name that is no defect of the line.
        """
        if self.memory:
            return (DEVIATION,)
        if not self.masks:
            return ()
        defects = line.defect_names
        chosen = self.masks.classes or defects
        if unknown := sorted(set(chosen) - set(defects)):
            raise RecipeError(
                f"masks.classes: '{unknown[0]}' is no defect of line '{line.name}', which has: "
                f"{', '.join(defects)}"
            )
        return tuple(name for name in defects if name in chosen)


def load_recipe(path: Path) -> Recipe:
    """Read a recipe; raises RecipeError that names the file and every field that is wrong."""
    try:
        content = yaml.safe_load(roots.content(path, SMALL_FILE).decode())
    except OSError as error:
        raise RecipeError(
            f"{path}: cannot be read ({error.strerror}). Give a YAML file with a recipe"
        ) from error
    except UnicodeDecodeError as error:
        raise RecipeError(f"{path}: not UTF-8 ({error.reason}). Save it as UTF-8") from error
    except yaml.YAMLError as error:
        raise RecipeError(f"{path}: is not YAML ({error})") from error
    if not isinstance(content, dict):
        raise RecipeError(f"{path}: must be a mapping of settings, for example 'epochs: 5'")
    try:
        return Recipe.model_validate(content)
    except ValidationError as error:
        wrong = "; ".join(
            f"{'.'.join(map(str, e['loc']))}: {e['msg'].lower()}" for e in error.errors()
        )
        raise RecipeError(f"{path}: {wrong}") from error


def find_recipe(name: str, folder: Path) -> Path:
    """The file `name`, or the recipe of that name in `folder`; raises RecipeError."""
    for candidate in (Path(name), folder / name, folder / f"{name}.yaml"):
        if candidate.is_file():
            return candidate
    known = ", ".join(sorted(p.stem for p in folder.glob("*.yaml")))
    raise RecipeError(f"{name}: no such recipe file; known recipes are: {known}")
