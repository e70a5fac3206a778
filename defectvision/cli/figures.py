"""How the commands print the figures of a bundle."""

from __future__ import annotations

import json

from rich.table import Table

from defectvision.bundle.schema import Metrics
from defectvision.bundle.words import metric_words
from defectvision.cli.terminal import out
from defectvision.words import counted


def print_metrics(line: str, bundle: str, metrics: Metrics, as_json: bool) -> None:
    """One JSON object with every metric as value, low and high, or a table."""
    if as_json:
        content = metrics.model_dump(mode="json")
        values = {**content["values"], "confusion": content["confusion"]}
        kept = {name: content[name] for name in ("policy", "images", "groups", "seen")}
        print(json.dumps({"line": line, "bundle": bundle, **kept, "metrics": values}))
        return
    images, groups = counted(metrics.images, "image"), counted(metrics.groups, "group")
    table = Table(title=f"{line} / {bundle}: {images}, {groups}")
    for column in ("metric", "value", "95 % interval"):
        table.add_column(column)
    for name, figure in metrics.values.items():
        if figure is not None and figure.value is not None:
            interval = "" if figure.low is None else f"{figure.low:.4f} .. {figure.high:.4f}"
            table.add_row(metric_words(name).title, f"{figure.value:.4f}", interval)
    out.print(table)
