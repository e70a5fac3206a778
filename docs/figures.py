"""What the documents say in figures, from the bundles and the code.

make docs                       write the tables of README.md and docs/, and all model cards
python -m docs.figures --check  name the model cards that differ from their bundle
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import tempfile
import tomllib
from collections.abc import Iterator
from pathlib import Path

from defectvision.api.access import need_of
from defectvision.api.app import ROUTES
from defectvision.bundle.card import write_card
from defectvision.bundle.reader import find_lines, list_bundles
from defectvision.bundle.schema import ABOUT_FILE, CARD_FILE, OWN, Bundle, Measure
from defectvision.bundle.words import metric_words
from defectvision.people import Action, Role
from defectvision.settings import ROOT, Settings
from defectvision.words import counted

WEIGHTS = ROOT / "weights"
# What a reader of the README compares, in this order, as far as a bundle has it.
HEADLINES = (
    "auc",
    "balanced_accuracy",
    "macro_f1",
    "escapes",
    "overkills",
    "reviews",
    "evidence_inside",
    "mean_iou",
    "mean_dice",
    "mean_dice_empty",
)


def measured_table() -> str:
    """The headline figures of every shipped bundle on images that it has not learned from."""
    rows = ["| line / bundle | held out | figure | value | 95 % interval |"]
    rows.append("| --- | --- | --- | ---: | --- |")
    for bundle in _bundles():
        metrics = next(m for m in bundle.metrics if not m.seen)
        name = f"{bundle.line} / {bundle.name}" + " (int8)" * (bundle.precision == "int8")
        images = f"{counted(metrics.images, 'image')} of {counted(metrics.groups, 'photo group')}"
        if "fold" in metrics.split:
            images += f", {metrics.split.split()[0]}s"
        for key in HEADLINES:
            figure = metrics.values.get(key)
            if figure is not None and figure.value is not None:
                rows.append(
                    f"| {name} | {images} | {metric_words(key).title} | {_figure(figure)} |"
                )
                name = images = ""
    return "\n".join(rows)


def published_castings() -> str:
    """What README says of the published test images of the castings, which were partly learned."""
    castings = next(b for b in _bundles() if (b.line, b.name) == ("casting", "efficientnet_lite0"))
    seen = next(m for m in castings.metrics if m.seen)
    auc = seen.values["auc"]
    assert auc is not None
    return (
        f"On the published 300x300 test images of the castings ({seen.images} in the copy used), "
        "of which 117 show\nphotographs that were learned from, the casting bundle has AUC "
        f"{auc.value:.3f} ({auc.low:.3f} to {auc.high:.3f}): it\naccepts two images filed as "
        "defective whose photo group the set also files as good."
    )


def int8_costs() -> str:
    """What int8 cost each bundle, on images of photo groups that it has never seen."""
    rows = [
        "| bundle | AUC | macro F1 | calibration error | verdicts changed | maps correlate "
        "| layers in fp32 |",
        "| --- | --- | --- | --- | ---: | ---: | ---: |",
    ]
    for bundle in _bundles():
        costs = bundle.provenance.get("quantization")
        if costs is None:
            continue
        moved = [
            f"{costs['before'][key]:.4f} to {costs['after'][key]:.4f}"
            for key in ("auc", "macro_f1", "calibration_error")
        ]
        rows.append(
            f"| {bundle.line} / {bundle.name} | {' | '.join(moved)} "
            f"| {100 * costs['verdicts_changed']:.1f} % | {costs['evidence_correlation']:.4f} "
            f"| {len(costs['in_fp32'])} |"
        )
    return "\n".join(rows)


def gate_table() -> str:
    """What the gate of every shipped bundle sends to review: its line's own images, frames without
    structure, and all else by kind, with how much of it where the kind was unknown."""
    bundles = [bundle for bundle in _bundles() if bundle.gate]
    kinds = dict.fromkeys(kind for b in bundles if b.gate for kind in b.gate.rates)
    rows = ["| images | " + " | ".join(f"{b.line} / {b.name}" for b in bundles) + " |"]
    rows.append("| --- |" + " ---: |" * len(bundles))
    for kind in kinds:
        cells = []
        for bundle in bundles:
            rate = bundle.gate.rates.get(kind) if bundle.gate else None
            if rate is None:
                cells.append("")
                continue
            share, unknown = rate.review, rate.unknown
            alone = "" if unknown is None else f" ({unknown.value:.1%})"
            if kind == OWN:
                alone = f" ({share.low:.1%} to {share.high:.1%})"
            cells.append(f"{share.value:.1%}{alone} of {rate.images}")
        rows.append(f"| {kind} | {' | '.join(cells)} |")
    return "\n".join(rows)


def floors() -> str:
    """The floors as a picture, from the contract that `make lint` holds the imports to."""
    content = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    contracts = content["tool"]["importlinter"]["contracts"]
    layers = next(contract for contract in contracts if contract["id"] == "floors")["layers"]
    lines = ["```mermaid", "flowchart TD", '    floor0["pages, app.py"]']
    for i, layer in enumerate(layers, 1):
        names = ", ".join(re.split(r" [|:] ", layer))
        lines += [f'    floor{i}["{names}"]', f"    floor{i - 1} --> floor{i}"]
    return "\n".join([*lines, "```"])


def settings_table() -> str:
    """Every setting with its default."""
    rows = ["| variable | default | what it is |", "| --- | --- | --- |"]
    for name, field in Settings.model_fields.items():
        extra = field.json_schema_extra
        shown = extra.get("shown") if isinstance(extra, dict) else None
        default = shown or f"`{_json(field.default)}`"
        rows.append(f"| `DEFECTVISION_{name.upper()}` | {default} | {field.description} |")
    return "\n".join(rows)


def roles_table() -> str:
    """What each role may do, on pages and command line."""
    rows = [f"| | {' | '.join(Role)} |", f"| --- |{' :---: |' * len(Role)}"]
    for action in Action:
        cells = " | ".join("yes" if action in role.may else "" for role in Role)
        rows.append(f"| {action.words} | {cells} |")
    return "\n".join(rows)


def routes_table() -> str:
    """The scope that each route of the REST API asks for."""
    rows = ["| route | scope |", "| --- | --- |"]
    for route in ROUTES:
        action, methods = need_of(route), sorted(route.methods or ())
        scope = f"`{action}`" if action else "open to everybody"
        rows.append(f"| `{' '.join(methods)} /api{route.path}` | {scope} |")
    return "\n".join(rows)


def stale_cards() -> list[Path]:
    """The model cards that are not what their bundle gives."""
    stale = []
    with tempfile.TemporaryDirectory() as place:
        for folder, bundle in _folders():
            write_card(Path(place), bundle)
            if (Path(place) / CARD_FILE).read_bytes() != (folder / CARD_FILE).read_bytes():
                stale.append(folder / CARD_FILE)
    return stale


def _bundles() -> Iterator[Bundle]:
    for _, bundle in _folders():
        yield bundle


def _folders() -> Iterator[tuple[Path, Bundle]]:
    for line in find_lines(WEIGHTS).readable:
        for name in list_bundles(WEIGHTS / line.name):
            folder = WEIGHTS / line.name / name
            yield folder, Bundle.model_validate_json((folder / ABOUT_FILE).read_bytes())


def _figure(figure: Measure) -> str:
    interval = "" if figure.low is None else f"{figure.low:.4f} to {figure.high:.4f}"
    return f"{figure.value:.4f} | {interval}"


def _json(default: object) -> str:
    if isinstance(default, Path):
        return default.relative_to(ROOT).as_posix()
    if isinstance(default, float) and default.is_integer():
        return str(int(default))
    return default if isinstance(default, str) else json.dumps(default)


def main() -> None:
    """Write the model cards, or with --check say which differ; exit status 1 then."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--check", action="store_true")
    if parser.parse_args().check:
        stale = stale_cards()
        for card in stale:
            print(f"{card.relative_to(ROOT)}: differs from its bundle.json. Run: make docs")
        sys.exit(1 if stale else 0)
    for folder, bundle in _folders():
        write_card(folder, bundle)


if __name__ == "__main__":
    main()
