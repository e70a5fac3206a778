"""Pictures that are decoded at a time share one budget: small files that unfold to much wait."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import cv2
import numpy as np
import pytest
from PIL import Image

from defectvision.inference import decode_memory
from defectvision.inference.decode_memory import BYTES_PER_PIXEL, Budget, BusyError, holding
from defectvision.inference.images import ImageError, decode_image
from tests.stand_ins.image_files import rgb, saved

SIDE = 400
PICTURE = saved(Image.new("RGB", (SIDE, SIDE), "teal"), "PNG")
NEEDED = BYTES_PER_PIXEL * SIDE * SIDE


@pytest.fixture
def budget(monkeypatch: pytest.MonkeyPatch) -> Iterator[Budget]:
    """One that holds two of PICTURE and no more; nothing of it may be left over."""
    made = Budget(2 * NEEDED + 10)
    monkeypatch.setattr(decode_memory, "BUDGET", made)
    yield made
    assert made.taken == 0


def test_no_more_is_decoded_at_a_time_than_the_budget_holds(
    budget: Budget, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []
    original = decode_memory.Budget.take

    def take(self: Budget, count: int, seconds: float = 30) -> bool:
        had = original(self, count, seconds)
        seen.append(self.taken)
        time.sleep(0.01)
        return had

    monkeypatch.setattr(decode_memory.Budget, "take", take)
    threads = [threading.Thread(target=decode_image, args=(PICTURE, "p")) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(seen) == 12
    assert max(seen) <= budget.total


def test_a_picture_larger_than_the_budget_goes_alone(budget: Budget) -> None:
    large = saved(Image.new("RGB", (3 * SIDE, SIDE), "teal"), "PNG")
    assert decode_image(large, "large").shape == (SIDE, 3 * SIDE, 3)
    assert budget.take(1)
    begun = threading.Thread(target=decode_image, args=(large, "large"))
    begun.start()
    begun.join(0.2)
    assert begun.is_alive(), "beside another one"
    budget.give_back(1)
    begun.join(10)
    assert not begun.is_alive()


def test_a_small_one_does_not_overtake_for_ever(budget: Budget) -> None:
    assert budget.take(NEEDED)
    came: list[str] = []

    def take(name: str, count: int) -> None:
        assert budget.take(count)
        came.append(name)
        budget.give_back(count)

    threads = []
    for name, count in (("large", 2 * NEEDED), ("small", NEEDED // 2)):
        threads.append(threading.Thread(target=take, args=(name, count)))
        threads[-1].start()
        time.sleep(0.1)
    assert came == []
    budget.give_back(NEEDED)
    for thread in threads:
        thread.join(10)
    assert came == ["large", "small"]


def test_for_a_tiny_one_nobody_waits(budget: Budget) -> None:
    assert budget.take(2 * NEEDED)
    assert decode_image(rgb("JPEG"), "tiny").ndim == 3
    budget.give_back(2 * NEEDED)


def test_who_waits_too_long_is_told_so(budget: Budget, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decode_memory.Budget.take, "__defaults__", (0.05,))
    assert budget.take(2 * NEEDED)
    with pytest.raises(BusyError, match=r"part\.png: not decoded, as other large images"):
        decode_image(PICTURE, "part.png")
    budget.give_back(2 * NEEDED)
    assert decode_image(PICTURE, "part.png").shape == (SIDE, SIDE, 3)


def test_pixels_that_are_still_used_count(budget: Budget) -> None:
    with holding():
        decode_image(PICTURE, "p")
        assert budget.taken == 3 * SIDE * SIDE
    assert budget.taken == 0


def test_a_refused_picture_gives_back_what_it_took(budget: Budget) -> None:
    data = bytearray(rgb("JPEG"))
    with pytest.raises(ImageError), holding():
        decode_image(bytes(data[: len(data) // 2]), "half")
    assert budget.taken == 0


@pytest.mark.parametrize("alpha", [False, True])
def test_16_bit_colour_counts_by_what_it_takes(alpha: bool) -> None:
    picture = np.full((300, 300, 4 if alpha else 3), 40_000, np.uint16)
    data = cv2.imencode(".png", picture)[1].tobytes()
    with pytest.raises(ImageError, match="MB to decode, more than") as refused:
        decode_image(data, "wide.png", limit_pixels=300 * 300)
    assert "8 bits a channel" in refused.value.remedy
    assert decode_image(data, "wide.png", limit_pixels=900 * 300).shape == (300, 300, 3)


def test_a_jpeg_of_many_scans_counts_by_what_it_takes() -> None:
    picture = Image.fromarray(np.tile(np.arange(256, dtype=np.uint8), (256, 1))).convert("RGB")
    data = saved(picture, "JPEG", progressive=True, subsampling=0)
    with pytest.raises(ImageError, match="MB to decode, more than"):
        decode_image(data, "p.jpg", limit_pixels=256 * 256)
    assert decode_image(data, "p.jpg", limit_pixels=2 * 256 * 256).shape == (256, 256, 3)
