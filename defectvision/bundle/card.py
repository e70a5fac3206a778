"""The model card of a bundle, written from bundle.json alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from defectvision.bundle.labels import label_names
from defectvision.bundle.policy import thresholds_in_words
from defectvision.bundle.schema import Bundle, Measure, Metrics

NAMES = {
    "accuracy": "Accuracy",
    "balanced_accuracy": "Balanced accuracy (mean recall)",
    "macro_f1": "Macro F1",
    "auc": "AUC",
    "escapes": "Escapes (defective parts accepted)",
    "overkills": "Overkills (good parts rejected)",
    "reviews": "Parts sent to review",
    "evidence_inside": "Positive evidence that lies on the part",
    "mean_iou": "Mean IoU of the classes",
    "mean_dice": "Mean Dice, an empty pair answered empty counts 1",
    "mean_dice_empty": "Mean Dice that an empty answer would get",
    "pixel_accuracy": "Pixel accuracy",
    "iou": "IoU",
    "dice": "Dice on images that hold it",
    "detection": "Detection rate",
    "false_alarm": "False-alarm rate",
    "calibration_error": "Expected calibration error",
}

PRECISIONS = {
    "fp32": "Computed in fp32.",
    "fp16-weights": "Weights are stored as fp16 and computed in fp32.",
    "int8": "Computed in int8; what that costs stands below. `model.safetensors` holds the weights "
    "before, as fp16.",
}


def write_card(folder: Path, bundle: Bundle) -> None:
    """Write `folder/README.md`."""
    how, made = bundle.preprocessing, bundle.provenance
    recipe = made["recipe"]
    parts = [
        f"# {bundle.line} / {bundle.name}",
        f"Architecture `{bundle.architecture}`; classes {', '.join(bundle.classes)}. Input "
        f"{how.height}x{how.width} px, {how.channels} channel(s), fit `{how.fit}`, lighting "
        f"`{how.lighting}`; evidence pooled by `{bundle.pooling}`. "
        + _masks(bundle)
        + PRECISIONS[bundle.precision],
        *([bundle.caution] if bundle.caution else []),
        "## Trained on",
        _sources(made["sources"]),
        f"Split with seed {recipe['split']['seed']}, whole photo groups kept apart "
        f"({made['photo_groups']} groups).",
        _counts(made["images"]),
        f"Recipe: {recipe['epochs']} epochs of {recipe['samples_per_epoch'] or 'all'} images, "
        f"batch {recipe['batch_size']}, AdamW, learning rate {recipe['learning_rate']}, "
        f"pretrained: {recipe['pretrained']}. The whole recipe is in `bundle.json`.",
        "## Measured",
        "Intervals are 95 %, resampled by photo group.",
        *(_metrics(m) for m in bundle.metrics),
        *([_quantization(made["quantization"])] if "quantization" in made else []),
        "## Limits",
        "The figures hold for photographs like those of the sets named above. An image that does "
        "not look like them is sent to review (foreign score above 1). `trained_on.txt` lists the "
        "hashes of all images used for training and tuning, so that `defectvision evaluate` can "
        "leave them out.",
    ]
    (folder / "README.md").write_text("\n\n".join(parts) + "\n", encoding="utf-8")


def _masks(bundle: Bundle) -> str:
    if not bundle.mask_classes:
        return ""
    plain = bundle.options.get("weighing", "none") == "none"
    how = "" if plain else ", each weighed by the probability of its class in the picture"
    return f"Masks of {', '.join(bundle.mask_classes)}{how}. "


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
    head = f"{m.split} ({m.data}): {m.images} images of {m.groups} photo groups"
    policy = thresholds_in_words(m.policy)
    rows = [f"### {head}", f"Policy: {policy}.{note if m.seen else ''}", ""]
    rows += ["| metric | value | 95 % interval |", "| --- | ---: | --- |"]
    rows += [f"| {_name(k)} | {_row(v)} |" for k, v in m.values.items() if v is not None]
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


def _quantization(said: dict[str, Any]) -> str:
    """What int8 costs, from provenance."""
    rows = [f"### int8 against fp32, {said['images']}", "", "| metric | fp32 | int8 |"]
    rows += ["| --- | ---: | ---: |"]
    rows += [
        f"| {_name(key)} | {value:.4f} | {said['after'][key]:.4f} |"
        for key, value in said["before"].items()
    ]
    rows += [
        "",
        f"Evidence maps correlate {said['evidence_correlation']:.4f} on average; "
        f"{said['verdicts_changed']:.1%} of the verdicts changed; {len(said['in_fp32'])} "
        "convolutions stay in fp32.",
    ]
    return "\n".join(rows)


def _name(key: str) -> str:
    """A metric in words; one of a single class is `metric/class`."""
    metric, _, of = key.partition("/")
    return f"{NAMES.get(metric, metric)}, class {of}" if of else NAMES.get(metric, metric)


def _row(v: Measure) -> str:
    interval = f"{v.low:.4f} to {v.high:.4f}" if v.low is not None and v.high is not None else ""
    return f"{v.value:.4f} | {interval}"
