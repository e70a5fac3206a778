"""A program in place of the one that learns a line from good parts; see `sitecustomize`."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent


def in_the_way(**how: Any) -> dict[str, str]:
    """The environment of a server whose trainings the stand-in runs, and how. seconds: for each
    photograph; refuse: its words; break_at: the photograph at which it breaks down; status: of its
    end; suspects: how many it names."""
    path = os.pathsep.join(filter(None, [str(HERE), os.environ.get("PYTHONPATH")]))
    return {"PYTHONPATH": path, "GOOD_PARTS": json.dumps(how)}
