"""How a bundle's training went, epoch by epoch."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path

from defectvision.bundle.schema import HISTORY_FILE, LoadedBundle

MOST_EPOCHS = 5000  # that are read


def read_history(loaded: LoadedBundle) -> dict[str, list[float | None]]:
    """Columns by name, such as `epoch`, `train_loss`, `val_loss`, `val_accuracy`, a number an epoch
    or None where there is none; empty where the bundle brings no history or one that cannot be
    read."""
    return history_in(loaded.folder / HISTORY_FILE) if HISTORY_FILE in loaded.bundle.files else {}


def history_in(file: Path) -> dict[str, list[float | None]]:
    """As `read_history`, of a file with an object an epoch."""
    try:
        rows = list(_rows(file))
    except (OSError, ValueError):
        return {}
    names = dict.fromkeys(name for row in rows for name in row)
    return {name: [_number(row.get(name)) for row in rows] for name in names}


def _rows(file: Path) -> Iterator[dict[str, object]]:
    with file.open(encoding="utf-8") as opened:
        for _, text in zip(range(MOST_EPOCHS), opened, strict=False):
            row = json.loads(text)
            if not isinstance(row, dict):
                raise ValueError(f"{file}: a line is no object")
            yield row


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else None
