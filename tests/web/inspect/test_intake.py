"""What the Inspect page offers: samples that can be drawn, explanations that can be made."""

from __future__ import annotations

import numpy as np

from defectvision.data.synthetic.samples import draw
from defectvision.inference.inspector import Inspector
from defectvision.web.inspect.explanation import why_no_gradients
from defectvision.web.inspect.intake import DRAWN_LINES
from tests.stand_ins.bundles import LINES


def test_samples_are_offered_for_the_lines_that_can_be_drawn() -> None:
    for line in DRAWN_LINES:
        for label in LINES[line].class_names:
            assert min(draw(line, label, np.random.default_rng(0), 64).shape) >= 32


def test_gradients_name_what_is_missing(inspector: Inspector, monkeypatch) -> None:
    assert "model.safetensors" in why_no_gradients(inspector.loaded)
    monkeypatch.setattr("defectvision.web.inspect.explanation.find_spec", lambda name: None)
    assert "pip install -r requirements.txt" in why_no_gradients(inspector.loaded)
