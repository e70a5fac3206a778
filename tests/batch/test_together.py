"""How many images are inspected and written together."""

from __future__ import annotations

from collections.abc import Mapping
from threading import Event

import pytest

from defectvision.batch.answers import Answerer
from defectvision.batch.memory import OfBatch
from defectvision.batch.runner import work_on
from defectvision.limits import Limits
from tests.stand_ins.claimed_batches import counts, new_batch


def test_large_files_are_inspected_a_few_at_a_time(store, weights, tmp_path, monkeypatch) -> None:
    number = new_batch(store, weights, tmp_path, 6)
    sizes = [file.stat().st_size for file in (tmp_path / "lot").iterdir()]
    monkeypatch.setattr("defectvision.batch.reading.MOST_BYTES", max(sizes) + 1)
    together = []
    answer = Answerer.answers

    def answers(self: Answerer, new: Mapping[str, bytes], any_done: bool) -> object:
        together.append(len(new))
        return answer(self, new, any_done)

    monkeypatch.setattr(Answerer, "answers", answers)
    work_on(store, weights, Limits(), number, Event())
    assert counts(store, number).done == 6
    assert sum(together) == 6 and max(together) == 2


@pytest.mark.parametrize(
    ("before", "taken", "after"), [(32, 8.0, 16), (32, 0.1, 64), (1, 9.0, 1), (100, 0.5, 128)]
)
def test_as_many_images_go_together_as_take_about_a_second(before, taken, after) -> None:
    memory = OfBatch(together=before)
    memory.pace(1.0, taken)
    assert memory.together == after
