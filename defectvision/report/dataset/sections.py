"""The parts of the Dataset page: which charts stand in which section, with their sentences."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd
import plotly.graph_objects as go

from defectvision.audit.pictures import MEASURES
from defectvision.audit.study import Study
from defectvision.data import statistics
from defectvision.report.dataset import class_charts, picture_charts, region_charts, words
from defectvision.report.dataset.style import class_colours, colours


@dataclass(frozen=True)
class Block:
    """One chart and what follows from it; `key` names it within the page."""

    key: str
    figure: go.Figure
    sentence: str


def balance_blocks(study: Study) -> list[Block]:
    catalog = study.catalog
    hue = class_colours(catalog)
    has_regions = len(study.regions) > 0
    balance = statistics.class_balance(catalog, study.regions if has_regions else None)
    blocks = [
        Block("balance", class_charts.class_balance_chart(balance, hue), words.of_balance(study))
    ]
    if has_regions and study.regions["x"].notna().any():
        blocks.append(
            Block(
                "regions", class_charts.regions_chart(balance, hue), words.of_regions(study.regions)
            )
        )
    by_split = statistics.balance_by_split(catalog)
    if set(by_split["split"]) != {"(none)"}:
        blocks.append(
            Block("split", class_charts.split_chart(by_split, hue), words.of_splits(by_split))
        )
    counts = statistics.defects_per_image(catalog)
    blocks.append(
        Block("several", class_charts.defects_per_image_chart(counts), words.of_multiple(study))
    )
    matrix = statistics.co_occurrence(catalog)
    if len(matrix) > 1 and (statistics.label_sets(catalog).map(len) > 1).any():
        sentence = words.of_co_occurrence(matrix)
        blocks.append(Block("together", class_charts.co_occurrence_chart(matrix), sentence))
    weights = statistics.class_weights(statistics.trained_balance(catalog))
    if len(weights) > 1:
        blocks.append(
            Block("weights", class_charts.weights_chart(weights), words.of_weights(weights))
        )
    return blocks


def defect_blocks(study: Study) -> list[Block]:
    regions = study.regions
    if regions.empty:
        return []
    hue = class_colours(study.catalog, regions["label"])
    blocks = []
    for column, (title, unit, log) in region_charts.REGION_MEASURES.items():
        if regions[column].notna().any():
            blocks.append(
                Block(
                    f"region-{column}",
                    region_charts.histogram_chart(regions, column, title, unit, hue, log=log),
                    words.of_region_measure(regions, column, study.pictures),
                )
            )
    if regions["x"].notna().any():
        figure = region_charts.position_chart(regions, study.coverage, hue)
        blocks.append(Block("position", figure, words.of_position(regions)))
    return blocks


def picture_table(study: Study) -> pd.DataFrame:
    """The measures of the pictures with their label."""
    labels = statistics.primary_label(study.catalog)
    table = study.pictures
    return table.assign(label=labels.reindex(table["image"]).to_numpy()) if len(table) else table


def picture_blocks(study: Study) -> list[Block]:
    table = picture_table(study)
    hue = class_colours(study.catalog)
    blocks = []
    for column, (title, unit) in MEASURES.items():
        if len(table) and table[column].nunique() > 1:
            figure = picture_charts.picture_box_chart(
                table, column, f"{title} per class", unit, hue
            )
            blocks.append(Block(f"picture-{column}", figure, words.of_pictures(table, column)))
    return blocks


def group_blocks(study: Study) -> list[Block]:
    if not study.groups:
        return []
    sizes = pd.Series([len(group.images) for group in study.groups])
    return [Block("groups", picture_charts.groups_chart(sizes), words.of_groups(study))]


def shortcut_blocks(study: Study) -> list[Block]:
    table = study.shortcuts
    if table.empty:
        return []
    return [Block("shortcuts", picture_charts.shortcut_chart(table), words.of_shortcuts(table))]


def map_block(study: Study, by: str = "class", predictions: dict[int, str] | None = None) -> Block:
    """The map coloured by `class`, `split`, `near-copies` or `prediction`; `predictions` is the
    label of each image that has one."""
    table = study.map.copy()
    catalog = study.catalog
    if by == "split":
        group = catalog.table["split"].replace("", "(none)")
    elif by == "near-copies":
        copies = {i for found in study.groups for i in found.images}
        group = pd.Series(["near-copy" if i in copies else "single" for i in range(len(catalog))])
    elif by == "prediction" and predictions is not None:
        group = pd.Series([predictions.get(i, "(none)") for i in range(len(catalog))])
    else:
        group = statistics.primary_label(catalog)
    # A class keeps its colour where it is predicted.
    by_class = by in ("class", "prediction")
    hue = class_colours(catalog, group) if by_class else colours(sorted(group.unique()))
    table["group"] = group.reindex(table["image"].astype("int64")).to_numpy()
    return Block(f"map-{by}", picture_charts.map_chart(table, by, hue), words.of_map())


def all_sections(study: Study) -> list[tuple[str, list[Block]]]:
    """The whole page in order, for the report; empty sections are left out."""
    found = [
        ("Class balance", balance_blocks(study)),
        ("Defects", defect_blocks(study)),
        ("Pictures", picture_blocks(study)),
        ("Near-copies and leaks", group_blocks(study)),
        ("Shortcuts", shortcut_blocks(study)),
        ("Map", [map_block(study)] if len(study.map) > 2 else []),
    ]
    return [(title, blocks) for title, blocks in found if blocks]
