"""The model card of a bundle, written from bundle.json alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from defectvision import atomic
from defectvision.bundle.labels import label_names
from defectvision.bundle.policy import thresholds_in_words
from defectvision.bundle.schema import (
    CARD_FILE,
    FINGERPRINTS_FILE,
    Bundle,
    Gate,
    Measure,
    Metrics,
)
from defectvision.bundle.words import (
    FITS,
    INTERVALS,
    PRECISIONS,
    calibration_rows,
    calibration_words,
    metric_words,
)
from defectvision.words import capital, counted

COPIES = ", and `fingerprints.npz` by what a copy of one is known again (docs/near-copies.md)"
INT8 = " What that costs stands below. `model.safetensors` holds the weights before, as fp16."


def write_card(folder: Path, bundle: Bundle) -> None:
    """Write the card into the bundle's folder; raises OSError."""
    how, made = bundle.preprocessing, bundle.provenance
    parts = [
        f"# {bundle.line} / {bundle.name}",
        f"Architecture `{bundle.architecture}`; classes {', '.join(bundle.classes)}. Input "
        f"{how.height}x{how.width} px, {how.channels} channel(s), fit `{how.fit}` "
        f"({FITS[how.fit]}), lighting `{how.lighting}`; evidence pooled by `{bundle.pooling}`. "
        + _masks(bundle)
        + _precision(bundle),
        *([bundle.caution] if bundle.caution else []),
        "## Trained on",
        _sources(made["sources"]),
        f"Split with seed {made['recipe']['split']['seed']}, whole photo groups kept apart "
        f"({counted(made['photo_groups'], 'group')}).",
        _counts(made["images"]),
        _recipe(made["recipe"]),
        "## Measured",
        *([_promise(made["good_parts"])] if "good_parts" in made else []),
        INTERVALS,
        *(_metrics(m) for m in bundle.metrics),
        *([_quantization(made["quantization"])] if "quantization" in made else []),
        *([_calibration(bundle)] if bundle.calibration else []),
        *([_gate(bundle.gate)] if bundle.gate else []),
        "## Limits",
        "The figures hold for photographs like those of the sets named above. An image that does "
        "not look like them, or whose picture is not good enough, is sent to review with the "
        "reason (docs/gate.md). `trained_on.txt` lists the "
        "hashes of all images used for training and tuning, so that `defectvision evaluate` can "
        f"leave them out{COPIES if FINGERPRINTS_FILE in bundle.files else ''}.",
    ]
    atomic.write_text(folder / CARD_FILE, "\n\n".join(parts) + "\n")


def _recipe(recipe: dict[str, Any]) -> str:
    """What the recipe says of the training; one made elsewhere may say less."""
    parts = [f"{recipe['epochs']} epochs of {recipe.get('samples_per_epoch') or 'all'} images"]
    if "batch_size" in recipe:
        parts.append(f"batch {recipe['batch_size']}")
    if "learning_rate" in recipe:
        parts.append(f"AdamW, learning rate {recipe['learning_rate']}")
    parts.append(f"pretrained: {recipe['pretrained']}")
    return f"Recipe: {', '.join(parts)}. The whole recipe is in `bundle.json`."


def _masks(bundle: Bundle) -> str:
    if not bundle.mask_classes:
        return ""
    plain = bundle.options.get("weighing", "none") == "none"
    how = "" if plain else ", each weighed by the probability of its class in the picture"
    return f"Masks of {', '.join(bundle.mask_classes)}{how}. "


def _precision(bundle: Bundle) -> str:
    words = capital(PRECISIONS[bundle.precision])
    return f"{words}.{INT8 if bundle.precision == 'int8' else ''}"


def _sources(sources: list[dict[str, Any]]) -> str:
    if not sources:
        return "A data set of the user's own."
    return "\n".join(f"- {s['name']}: {s['source']}. Licence: {s['licence']}" for s in sources)


def _counts(images: dict[str, int]) -> str:
    rows = ["| split | class | images |", "| --- | --- | ---: |"]
    for key, count in images.items():
        split, label = key.split("/", 1)
        classes = ", ".join(label_names(label)) or "no defect"
        rows.append(f"| {split} | {classes} | {count} |")
    return "\n".join(rows)


def _metrics(m: Metrics) -> str:
    note = " **These photographs were seen in training: the figures measure memory.**"
    head = (
        f"{m.split} ({m.data}): {counted(m.images, 'image')} of {counted(m.groups, 'photo group')}"
    )
    policy = thresholds_in_words(m.policy)
    rows = [f"### {head}", f"Policy: {policy}.{note if m.seen else ''}", ""]
    rows += ["| metric | value | 95 % interval | meaning |", "| --- | ---: | --- | --- |"]
    rows += [_row(key, value) for key, value in m.values.items() if value is not None]
    names = list(m.confusion)
    if not names:
        return "\n".join(rows)
    rows += ["", "| true \\ label | " + " | ".join(names) + " |"]
    rows += ["| --- |" + " ---: |" * len(names)]
    rows += [
        f"| {t} | " + " | ".join(str(row[n]) for n in names) + " |"
        for t, row in m.confusion.items()
    ]
    return "\n".join(rows)


def _promise(learned: dict[str, Any]) -> str:
    """What a line from good parts alone rests on."""
    suspects = learned.get("suspects") or ()
    strange = (
        f" Not learned from, since they lie far from the rest: {', '.join(suspects)}."
        if suspects
        else ""
    )
    return f"{learned['words']}{strange}"


def _quantization(costs: dict[str, Any]) -> str:
    """What int8 costs, from provenance."""
    rows = [f"### int8 against fp32, {costs['images']}", "", "| metric | fp32 | int8 |"]
    rows += ["| --- | ---: | ---: |"]
    rows += [
        f"| {metric_words(key).title} | {value:.4f} | {costs['after'][key]:.4f} |"
        for key, value in costs["before"].items()
    ]
    rows += [
        "",
        f"Evidence maps correlate {costs['evidence_correlation']:.4f} on average; "
        f"{costs['verdicts_changed']:.1%} of the verdicts changed; {len(costs['in_fp32'])} "
        "convolutions stay in fp32.",
    ]
    return "\n".join(rows)


def _calibration(bundle: Bundle) -> str:
    """What the probabilities go through, and what that is worth."""
    if (made := bundle.calibration) is None:
        return ""
    rows = [
        "### Calibration",
        f"Probabilities are those of {calibration_words(bundle)}, fitted on {made.fitted_on} "
        f"({counted(made.groups, 'photo group')}).",
        "",
        *(f"- {row}" for row in calibration_rows(made)),
    ]
    return "\n".join(rows)


def _gate(gate: Gate) -> str:
    """What the gate sends to review, and its limits on pictures."""
    rows = [
        "### What is sent to review whatever its scores are",
        f"Limits are set by the line's own images that were not learned from ({gate.unseen}). Own "
        "images are counted with limits that other photo groups set. *Unknown*: the same where "
        "nothing of the kind was at hand to learn from. Intervals are exact (Clopper and Pearson), "
        "as wide as photo groups are many.",
        "",
        "| images | number | sent to review | 95 % interval | unknown |",
        "| --- | ---: | ---: | --- | ---: |",
    ]
    for kind, rate in gate.rates.items():
        share, unknown = rate.review, rate.unknown
        known = share.low is not None and share.high is not None
        interval = f"{share.low:.1%} to {share.high:.1%}" if known else ""
        alone = "" if unknown is None else f"{unknown.value:.1%}"
        rows.append(f"| {kind} | {rate.images} | {share.value:.1%} | {interval} | {alone} |")
    rows += [
        "",
        f"A picture is too dark below mean grey {gate.darkest:.0f} and too bright above "
        f"{gate.brightest:.0f}, over-exposed with more than {gate.clipped:.0%} of it white, "
        f"under-exposed with more than {gate.dark:.0%} black; its contrast is too little below "
        f"{gate.contrast:.1f} grey levels; it has too few pixels where it is enlarged more than "
        f"{1 / gate.scale:.1f} times."
        + (" A round part must be found." if gate.part_needed else ""),
    ]
    return "\n".join(rows)


def _row(key: str, measure: Measure) -> str:
    words = metric_words(key)
    known = measure.low is not None and measure.high is not None
    interval = f"{measure.low:.4f} to {measure.high:.4f}" if known else ""
    return f"| {words.title} | {measure.value:.4f} | {interval} | {words.meaning} |"
