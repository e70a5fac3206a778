"""What follows from each chart, in a sentence or two. Plain text: the caller escapes it."""

from __future__ import annotations

import pandas as pd

from defectvision.audit.near_duplicates import IDENTICAL
from defectvision.audit.study import Study
from defectvision.bundle.labels import label_names
from defectvision.data.leaks import leaking_images, leaks
from defectvision.data.statistics import (
    GOOD,
    class_balance,
    defects_per_image,
    good_and_defective,
    imbalance_ratio,
    majority_accuracy,
)
from defectvision.words import capital, counted


def of_balance(study: Study) -> str:
    balance = class_balance(study.catalog)
    if len(balance) < 2:
        return "One class only: a model has nothing to tell apart. Add images of another class."
    ratio = imbalance_ratio(balance)
    answer, accuracy = majority_accuracy(study.catalog)
    small = balance.iloc[-1]
    said = (
        f"{ratio:.1f} images of {class_in_words(balance.iloc[0]['label'])} for one of "
        f"{class_in_words(small['label'])}. Always answering {class_in_words(answer)} would be "
        f"right in {accuracy:.1%} of the images: accuracy means nothing below that, so judge by "
        "balanced accuracy, macro F1 or AUC."
    )
    if small["images"] < 30:
        said += (
            f" {counted(small['images'], 'image')} of {class_in_words(small['label'])} "
            f"{'is' if small['images'] == 1 else 'are'} too few for a firm figure."
        )
    return said


def of_regions(regions: pd.DataFrame) -> str:
    if regions.empty:
        return "No masks and no boxes: sizes and places of the defects are unknown."
    per_image = regions.groupby(["label", "image"]).size()
    most = per_image.groupby("label").mean().sort_values()
    said = (
        f"{_first(class_in_words(most.index[-1]))} comes in {most.iloc[-1]:.1f} regions per image"
    )
    if len(most) == 1:
        return f"{said}."
    return (
        f"{said}, {class_in_words(most.index[0])} in {most.iloc[0]:.1f}: a rule on the number of "
        "regions must be set for each class."
    )


def of_splits(by_split: pd.DataFrame) -> str:
    if set(by_split["split"]) == {"(none)"}:
        return "The set has no split. The corrected split below makes one by photo group."
    shares = by_split.pivot(index="label", columns="split", values="images").fillna(0)
    lacking = [f"{label} in {s}" for s in shares for label in shares.index[shares[s] == 0]]
    if lacking:
        return f"Missing: {', '.join(lacking[:4])}. No score can be given for it there."
    shares = shares / shares.sum()
    gap = (shares.max(axis=1) - shares.min(axis=1)).sort_values()
    return (
        f"The share of {gap.index[-1]} differs most between the splits, by {gap.iloc[-1]:.1%}. "
        "Below about 5 % a score on one split speaks for the others."
    )


def of_multiple(study: Study) -> str:
    counts = defects_per_image(study.catalog)
    several = int(counts.loc[counts["classes"] > 1, "images"].sum())
    kinds = good_and_defective(study.catalog).set_index("kind")["images"]
    said = f"{kinds['good']:,} good and {counted(kinds['defective'], 'defective image')}. "
    if kinds["good"] == 0:
        said += "Without a good image a model can name defects but not accept a part. "
    if several:
        return said + (
            f"{several:,} {'shows' if several == 1 else 'show'} several classes at once: train "
            "with one output per class (multilabel), not with one answer per image."
        )
    return said + "Every image has one class at most: one answer per image (multiclass) is right."


def of_co_occurrence(matrix: pd.DataFrame) -> str:
    pairs = [
        (int(matrix.iloc[i, j]), matrix.index[i], matrix.index[j])
        for i in range(len(matrix))
        for j in range(i)
    ]
    pairs = sorted((p for p in pairs if p[0]), reverse=True)
    if not pairs:
        return "No two classes come together in one image."
    count, other, first = pairs[0]
    rarer = min((first, other), key=lambda name: matrix.loc[name, name])
    share = count / matrix.loc[rarer, rarer]
    return (
        f"{_first(class_in_words(first))} comes most often with {class_in_words(other)}: "
        f"{counted(count, 'image')}, "
        f"{share:.1%} of all images of {class_in_words(rarer)}. "
        "A model may learn one from the other where they come together often."
    )


def of_weights(weights: pd.DataFrame) -> str:
    first, last = weights.iloc[0], weights.iloc[-1]
    return (
        f"By inverse frequency one image of {class_in_words(last['label'])} counts as much as "
        f"{last['inverse'] / first['inverse']:.1f} of {class_in_words(first['label'])}, by "
        f"effective number as {last['effective'] / first['effective']:.1f}. "
        "The second is the safer start where the small class has near-copies."
    )


def of_region_measure(regions: pd.DataFrame, column: str, pictures: pd.DataFrame) -> str:
    middle = regions.groupby("label")[column].median().sort_values()
    if middle.empty:
        return ""
    if column == "elongation":
        return (
            f"{_first(class_in_words(middle.index[-1]))} is the most elongated (median "
            f"{middle.iloc[-1]:.1f} : 1). Long, thin defects are "
            "the first that a smaller input resolution loses."
        )
    low = regions[column].quantile(0.05)
    said = (
        f"Median {middle.iloc[0]:,.0f} px ({class_in_words(middle.index[0])}) to "
        f"{middle.iloc[-1]:,.0f} px ({class_in_words(middle.index[-1])}); one region in twenty is "
        f"under {low:,.0f} px. "
    )
    if column == "area_px" and len(pictures):
        side = pictures[["width", "height"]].max(axis=1).median()
        scaled = max(0.0, low) ** 0.5 * 224 / side
        said += f"At an input of 224 px such a region is {scaled:.1f} px wide" + (
            ": too small to be seen, keep more pixels." if scaled < 3 else "."
        )
    return said


def of_position(regions: pd.DataFrame) -> str:
    known = regions.dropna(subset=["x", "y"])
    if known.empty:
        return "Only areas are known, not places."
    edge = ((known[["x", "y"]] < 0.1) | (known[["x", "y"]] > 0.9)).any(axis=1).mean()
    return (
        f"{edge:.0%} of the regions have their centre in the outer tenth of the picture (36 % "
        "would by chance). Where defects cluster, a model learns the place with the defect: "
        "shift and mirror the images in training."
    )


def of_pictures(table: pd.DataFrame, column: str) -> str:
    middle = table.groupby("label")[column].median().sort_values()
    spread = table[column].std() or 1.0
    gap = (middle.iloc[-1] - middle.iloc[0]) / spread if spread > 0 else 0.0
    if len(middle) < 2:
        return f"Median {middle.iloc[0]:.4g}."
    said = (
        f"Median {middle.iloc[0]:.4g} ({class_in_words(middle.index[0])}) to {middle.iloc[-1]:.4g} "
        f"({class_in_words(middle.index[-1])})"
    )
    if gap > 0.8:
        return said + ": the classes differ clearly, which a model can exploit. See Shortcuts."
    return said + ": no clear difference between the classes."


def of_groups(study: Study) -> str:
    if not study.image_set.has_images:
        return "Near-copies need images."
    grouped, scenes = sum(len(g.images) for g in study.groups), independent_scenes(study)
    named = (study.catalog.table["photo_group"] != "").any()
    if not study.groups and not named:
        return "No near-copies were found: every image is an observation of its own."
    found = "No near-copies were found"
    if study.groups:
        found = (
            f"{grouped:,} of {counted(len(study.catalog), 'image')} are in "
            f"{counted(len(study.groups), 'group')} of one photograph or part each"
        )
    with_named = ", with the photo groups that the set itself names" if named else ""
    return (
        f"{found}: {counted(scenes, 'independent scene')} in all{with_named}. Intervals and splits "
        "must count scenes, not images."
    )


def independent_scenes(study: Study) -> int:
    """How many photographs or parts there are: near-copies and the set's own photo groups count
    once."""
    return len(set(study.grouped.groups()))


def of_contradictions(study: Study) -> str:
    """Which of the photo groups with different labels are wrong, and which may rightly differ."""
    table = study.grouped.contradictions()
    group, names = (
        table["photo_group"],
        table["label"].map(lambda text: frozenset(label_names(text))),
    )
    pairs = study.pairs if len(study.pairs) else pd.DataFrame(columns=["one", "other", "kind"])
    same = {
        group[pair.one]
        for pair in pairs[pairs["kind"] == IDENTICAL].itertuples()
        if pair.one in names and names[pair.one] != names[pair.other]
    }
    total = group.nunique()
    said = f"{counted(total, 'photo group')} with different labels."
    if same:
        said += (
            f" In {len(same)} of them one and the same picture has two labels: one of the two is "
            "wrong. Correct it at the source before training."
        )
    if len(same) < total:
        said += (
            " Other views, sides or cut-outs of one part may rightly differ: look at them before "
            "you change a label."
        )
    return said


def of_leaks(study: Study) -> str:
    catalog = study.grouped
    if (catalog.table["split"] == "").all():
        return "The set has no split, so nothing can leak yet. Download a split by group below."
    found = leaks(catalog)
    if found.empty:
        return "No group stands on both sides of a split: its scores can be trusted in this."
    said = [
        f"{counted(n, 'image')} of {name} {'shows' if n == 1 else 'show'} a photograph that is "
        "also in train"
        for name, n in leaking_images(catalog).items()
    ]
    return (
        f"{counted(len(found), 'group')} {'stands' if len(found) == 1 else 'stand'} in several "
        f"splits ({'; '.join(said)}). A score there measures memory: train and measure again with "
        "the corrected split."
    )


def of_shortcuts(table: pd.DataFrame) -> str:
    strong = table[table["strength"] == "strong"]
    notable = table[table["strength"] == "notable"]
    if len(strong):
        names = ", ".join(dict.fromkeys(strong["title"].str.lower()))
        return f"Strong: {names}. The warnings above say what to do."
    if len(notable):
        names = ", ".join(dict.fromkeys(notable["title"].str.lower()))
        return f"Partly: {names}. Check that the model's evidence lies on the part."
    return "None of these separates the classes: 0.5 is chance, 0.75 and more would be a warning."


def of_map() -> str:
    return (
        "Draw around points to see their images. Points of one class among those of another are "
        "hard or wrongly labelled; a class in separate islands has several causes or cameras. "
        "Distances between islands mean nothing."
    )


def _first(words: str) -> str:
    """At the beginning of a sentence; a class keeps the letters of its name."""
    return capital(words) if words.startswith("class ") or words == "good" else words


def class_in_words(label: str) -> str:
    """A class as a person reads it, in the middle of a sentence."""
    if label == GOOD:
        return "good"
    return f"class {label}" if label.isdigit() else label
