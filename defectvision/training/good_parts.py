"""From a box of good parts to a working bundle, and what it can promise.

Every good part is measured by a memory that holds neither it nor a near-copy of it. The scores that
come out say where to stop parts, and how often a good one will be: the log-odds of a deviation are
scaled so that on every line a score of 0.5 is reached by one good picture in a hundred, by the
exponential tail of the good scores, and a mask's 0.5 by a place in one good picture of a hundred.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from scipy.special import expit
from sklearn.model_selection import GroupKFold, StratifiedGroupKFold

from defectvision.bundle.labels import DEVIATION
from defectvision.bundle.policy import Policy
from defectvision.bundle.reader import load_bundle
from defectvision.bundle.schema import PLACES_FILE
from defectvision.bundle.writer import publish
from defectvision.evaluation.answers import Answers
from defectvision.evaluation.evaluate import ask
from defectvision.evaluation.promise import highest, in_words, limit_of
from defectvision.inference.good_memory import DESCRIBED, USUAL_SHARE, describer
from defectvision.inference.good_pictures import GoodPictures, carried_picture
from defectvision.inference.inspector import Inspector
from defectvision.inference.runtime import runtime_of
from defectvision.models.memory import PatchMemory
from defectvision.training import export
from defectvision.training.calibration import write_whole
from defectvision.training.dataset import PlacedImages
from defectvision.training.names import (
    GOOD,
    UNKNOWN,
    Names,
    Seen,
    Served,
    ServedHead,
    compared,
    in_both_words,
    learn_names,
)
from defectvision.training.pretrained import load_pretrained
from defectvision.training.progress import Tell
from defectvision.training.recipe import RecipeError
from defectvision.training.remember import (
    Described,
    Looked,
    Places,
    draw_places,
    kept_places,
    look,
    tail,
)
from defectvision.training.task import TrainingTask
from defectvision.words import counted

log = logging.getLogger(__name__)

STRONGEST = 4.0  # how sharply the strongest places decide: in deviations of a good part's places
FINE_PLACES = (0.9, 0.99)  # shares of good places; the latter is where a fine one is unusual
SURELY = 0.99  # from this score on a part is rejected: one good picture in ten thousand
FOREIGN = 3.0  # times as far as else may a picture be: what is unlike good parts, deviates
STRANGE = 0.05  # pictures like it that one would expect among so many good ones
LIMITING = 10  # good parts set aside for the limit, from which on they alone set it


@dataclass(frozen=True)
class Learned:
    """What a line from good parts rests on, in words and numbers.

    parts: good parts that set the limit; promised: the share of good parts that it stops at most;
    words: both as a sentence; suspects: the paths of pictures among the good ones that lie so far
    from the rest that they were not learned from; names: what learning defects by name, too, is
    worth, in words.
    """

    parts: int
    promised: float
    words: str
    suspects: tuple[str, ...]
    names: str = ""


@dataclass(frozen=True, eq=False)
class Remembered:
    """What of the images to learn from is remembered, and how far each of them (N,) is from that.

    graph: the network's, before it knew anything; good, strange: (N,) bool, good parts, and those
    of them that lie so far from the others that they are not remembered; folds: (N,); parted: the
    memory without each fold; whole: which places are remembered of all; looked: each image by the
    memory without its fold; aside: good images for the limit alone by the whole memory.
    """

    network: PatchMemory
    graph: onnx.ModelProto
    places: Places
    good: NDArray[np.bool_]
    strange: NDArray[np.bool_]
    folds: NDArray[np.int_]
    parted: list[torch.Tensor]
    whole: NDArray[np.int_]
    looked: Looked
    aside: Looked | None

    @property
    def usual(self) -> NDArray[np.bool_]:
        """(N,)"""
        return self.good & ~self.strange

    def seen(self, task: TrainingTask) -> Seen:
        """What names are learned from beside the memory."""
        line = task.line
        named = [name for name in line.defect_names if name != DEVIATION]
        numbers = [named.index(n) + 1 if n in named else UNKNOWN for n in line.class_names]
        kind = np.array([GOOD, *numbers[1:]])[task.training.targets]
        return Seen(
            self.looked.shown,
            _scored(self.network, self.looked.distances),
            kind,
            task.training.images.catalog.groups(),
            self.folds,
            len(named),
        )


def remember(task: TrainingTask, tell: Tell) -> Remembered:
    """Look at the images of `task` to learn from, and scale what its network will say of them.
    Raises RecipeError where the recipe is of another kind of network."""
    recipe, images, limiting = task.recipe, task.training, _limiting(task)
    how = recipe.memory
    network = task.network()
    if how is None or not isinstance(network, PatchMemory):
        raise RecipeError(f"architecture: {recipe.architecture} remembers nothing; name a memory_*")
    log.info(load_pretrained(network, recipe.pretrained))
    export.to_half(network.eval())
    with tell.step("preparing the network", 0):
        graph = export.unfolded(network, recipe.preprocessing)
        runtime = describer(graph)

    def describe(pictures: torch.Tensor) -> torch.Tensor:
        places = torch.from_numpy(runtime.run(pictures.numpy())[DESCRIBED])
        return places.contiguous(memory_format=torch.channels_last)

    good, folds = images.targets == GOOD, _folds(images, how.folds)
    numbers = range(int(folds.max()) + 1)
    with tell.step("remembering good parts", int(good.sum())) as advance:
        rows = np.flatnonzero(good)
        places, scale, kept = draw_places(describe, images, rows, how, recipe.seed, advance)
        network.scale.copy_(scale)
    with tell.step("choosing what to remember", how.vectors) as advance:
        choices = [folds != fold for fold in numbers]
        *by_fold, whole = kept_places(places, [*choices, good], how.vectors, advance)
        parted = [places.remembered(rows) for rows in by_fold]
    with tell.step("measuring parts", len(images)) as advance:
        looked = look(network, describe, images, parted, folds, advance, kept)
    strange = np.zeros(len(images), bool)
    strange[good] = _strange(network, looked.take(good))
    if strange.any():
        with tell.step("choosing without what lies far from the rest", how.vectors) as advance:
            (whole,) = kept_places(places, [~strange], how.vectors, advance)
    aside = None
    if limiting is not None:
        with tell.step("measuring good parts set aside", len(limiting)) as advance:
            all_good = [places.remembered(whole)]
            by_all = np.zeros(len(limiting), int)
            aside = look(network, describe, limiting, all_good, by_all, advance, Described())
    usual = looked.take(good & ~strange)
    _scale(network, *([usual] if aside is None else [usual, aside]))
    return Remembered(network, graph, places, good, strange, folds, parted, whole, looked, aside)


def learn_good_parts(
    task: TrainingTask, weights: Path, name: str, tell: Tell, known: Mapping[str, str]
) -> tuple[Inspector, list[Answers], Learned]:
    """Put the bundle of what the images of `task` show at `weights/<line>/<name>`. known: the names
    of images that people know by others than their files', by those.

    Returns what serves it, the answers to every image by a memory that does not hold its part, and
    what the limit promises.
    """
    made = remember(task, tell)
    network, images, looked = made.network, task.training, made.looked
    how = task.recipe.memory
    assert how is not None
    both, told = None, {}
    if how.names:
        with tell.step("learning names", 0):
            seen = made.seen(task)
            names = learn_names(seen, made.usual)
            told = compared(seen, names, how.stopped)
            both = _join(network, task, names)
    scores, parts = _scored(network, looked.distances), images.images.catalog.groups()
    if both is not None:
        scores = both.scores(scores, looked.shown, made.folds)
    scores, parts = scores[made.good], parts[made.good]
    if made.aside is not None:
        apart = task.validation.images.catalog.groups()
        if len(np.unique(apart)) >= LIMITING:
            scores, parts = _scored(network, made.aside.distances), apart
            if both is not None:
                scores = both.whole.scores(scores, made.aside.shown)
    suspects = tuple(images.images.catalog.table["path"][made.strange])
    learned, policy = _promise(scores, parts, how.stopped, suspects, in_both_words(told))
    named = tuple(known.get(Path(path).name, path) for path in suspects)
    if suspects:
        log.warning(
            "%s among the good ones lie far from the rest and were not learned from: %s. Are they "
            "good?",
            counted(len(suspects), "picture"),
            ", ".join(named[:5]),
        )

    with tell.step("writing the bundle", 0):
        served = _remembering(task, network, made.places.remembered(made.whole))
        first = made.folds == 0
        statistics, limit = export.fit_foreign(looked.embeddings[~first], looked.embeddings[first])
        foreign = statistics, FOREIGN * limit
        pictures = _pictures(images, made, how.keep_pictures, known)
        said = {"good_parts": asdict(replace(learned, suspects=named))}
        said |= {"names": told} if told else {}
        graph = export.renumbered(made.graph, served[1])
        inspector = _written(served, graph, weights, name, policy, said, foreign, pictures)
    measured = task.images.catalog.table["split"] == "test"
    with tell.step("measuring the line", len(images) + int(measured.sum())) as advance:
        answers = []
        for fold, memory in enumerate(made.parted):
            network.memory = memory
            if both is not None:
                both.parted[fold].put(network)
            graph = export.renumbered(made.graph, network)
            runtime = runtime_of(graph.SerializeToString())
            other = Inspector(inspector.loaded, task.images.limit_pixels, runtime)
            rows = np.flatnonzero(made.folds == fold)
            answers.append(ask(other, images.images.take(rows), advance=advance))
        if measured.any():
            answers.append(ask(inspector, task.images.subset("test"), advance=advance))
    return inspector, answers, learned


def _limiting(task: TrainingTask) -> PlacedImages | None:
    """The good images that were set aside for the limit alone."""
    if not (task.images.catalog.table["split"] == "val").any():
        return None
    return task.validation


def _folds(images: PlacedImages, folds: int) -> NDArray[np.int_]:
    """(N,) the fold of each image, photo groups whole, classes spread evenly."""
    groups, targets = images.images.catalog.groups(), images.targets
    number = np.zeros(len(images), int)
    kind = GroupKFold if (targets == targets[0]).all() else StratifiedGroupKFold
    splitter = kind(min(folds, len(np.unique(groups))), shuffle=True, random_state=0)
    for fold, (_, rows) in enumerate(splitter.split(groups, targets, groups)):
        number[rows] = fold
    return number


@torch.inference_mode()
def _scored(network: PatchMemory, distances: NDArray[np.float32]) -> NDArray[np.float64]:
    """(N,) the log-odds that each picture deviates."""
    strongest = network.weighed(torch.from_numpy(distances)[:, None]).mean((1, 2, 3))
    return (network.score[0] * strongest + network.score[1]).numpy().astype(float)


def _scale(network: PatchMemory, *looked: Looked) -> None:
    """Set the network's sharpness, and what brings its distances to log-odds."""
    distances = np.concatenate([one.distances for one in looked])
    spread = float(np.mean(distances.std((1, 2))))
    network.sharpness.fill_(STRONGEST / max(spread, 1e-3))
    network.score.copy_(torch.tensor([1.0, 0.0]))
    network.score.copy_(_half(tail(_scored(network, distances))))
    network.mask.copy_(_half(tail(distances.max((1, 2)))))
    often, seldom = np.quantile(np.concatenate([one.fine.ravel() for one in looked]), FINE_PLACES)
    fall = max(float(seldom - often), 1e-3) / math.log(10)  # of an exponential tail, by ten
    network.fine.copy_(_half((1 / fall, -float(seldom) / fall)))


def _half(numbers: tuple[float, float]) -> torch.Tensor:
    """As the bundle keeps them, so that what is measured is what is served."""
    return torch.tensor(numbers).half().float()


def _join(network: PatchMemory, task: TrainingTask, names: Names) -> Served:
    """Give the network the head beside its memory, as both count together."""
    (a, b), (factor, shift) = network.score.tolist(), names.joint.memory
    network.score.copy_(_half((factor * a, factor * b + shift)))
    heads = [ServedHead.of(head, names.joint, task.line) for head in (names.whole, *names.parted)]
    heads[0].put(network)
    return Served(heads[0], tuple(heads[1:]))


def _strange(network: PatchMemory, looked: Looked) -> NDArray[np.bool_]:
    """(N,) whether a picture lies so far from the others that it is hardly one of them."""
    _scale(network, looked)
    share = USUAL_SHARE * np.exp(-_scored(network, looked.distances))
    return share < STRANGE / len(looked.distances)


def _promise(
    scores: NDArray[np.float64],
    parts: NDArray[np.str_],
    asked: float,
    suspects: tuple[str, ...],
    names: str,
) -> tuple[Learned, Policy]:
    """What the limit on these scores promises, and the policy with it."""
    of_parts = highest(scores, parts)
    limit, promised = limit_of(of_parts, asked)
    accept_below = min(0.999, math.ceil(1000 * expit(limit) + 0.5) / 1000)
    policy = Policy(accept_below=accept_below, reject_above=max(SURELY, accept_below))
    words = in_words(len(of_parts), promised, asked)
    return Learned(len(of_parts), promised, words, suspects, names), policy


def _remembering(
    task: TrainingTask, network: PatchMemory, memory: torch.Tensor
) -> tuple[TrainingTask, PatchMemory]:
    """The network with this memory, and the task whose recipe says how large it is."""
    options = {**task.recipe.options, "vectors": len(memory)}
    sized = replace(task, recipe=task.recipe.model_copy(update={"options": options}))
    served = sized.network()
    assert isinstance(served, PatchMemory)
    served.load_state_dict(network.state_dict() | {"memory": memory})
    return sized, served


def _pictures(
    images: PlacedImages, made: Remembered, carried: bool, known: Mapping[str, str]
) -> GoodPictures:
    """Of the remembered places: the pictures themselves, and their names, only where `carried`."""
    row = np.flatnonzero(made.good)  # of each good picture by its number
    picture = np.searchsorted(row, made.places.image[made.whole]).astype(np.int32)
    some = sorted(set(picture.tolist())) if carried else []
    files = [Path(path).name for path in images.images.catalog.table["path"]]
    return GoodPictures(
        picture,
        made.places.at[made.whole],
        len(row),
        {number: Path(known.get(files[row[number]], files[row[number]])).name for number in some},
        {number: carried_picture(images.marked(row[number]).placed.pixels) for number in some},
    )


def _written(
    served: tuple[TrainingTask, PatchMemory],
    graph: onnx.ModelProto,
    weights: Path,
    name: str,
    policy: Policy,
    said: Mapping[str, Any],
    foreign: export.ForeignFit,
    pictures: GoodPictures,
) -> Inspector:
    task, network = served
    folder = weights / task.line.name
    fresh = folder / f"{name}.new"
    write_whole(
        fresh,
        network,
        task,
        name,
        temperature=1.0,
        policy=policy,
        foreign=foreign,
        said=said,
        files={PLACES_FILE: pictures.content()},
        graph=graph,
    )
    publish(fresh, folder, task.line, name)
    loaded = load_bundle(weights, task.line.name, name)
    return Inspector(loaded, task.images.limit_pixels)
