"""Pictures of the browser: masks drawn in the class's colour, within the limit of the machine."""

import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest

from defectvision.audit.study import study
from defectvision.data.image_set import open_set
from defectvision.inference.images import ImageError
from defectvision.limits import PIXELS
from defectvision.report.dataset.style import COLOURS
from defectvision.settings import settings
from defectvision.web.dataset.pictures import SMALL, marked_picture


def write(root: Path, size: tuple[int, int] = (600, 900)) -> Path:
    root.mkdir(exist_ok=True)
    cv2.imwrite(str(root / "a.png"), np.full(size, 128, np.uint8))
    mask = np.zeros(size, np.uint8)
    mask[200:400, 300:302] = 255  # thinner than a px of the small picture
    cv2.imwrite(str(root / "a_mask.png"), mask)
    cv2.imwrite(str(root / "b.png"), np.full((64, 64), 90, np.uint8))
    (root / "index.csv").write_text("path,label,mask\na.png,x,a_mask.png\nb.png,,\n")
    return root


def decoded(data: bytes) -> np.ndarray:
    return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR).astype(int)


def test_a_thin_defect_is_seen_on_a_small_picture(tmp_path: Path) -> None:
    parts = study(write(tmp_path / "set"), tmp_path / "cache", PIXELS, workers=1)
    shown = decoded(marked_picture(parts, 0, SMALL))
    assert max(shown.shape[:2]) == SMALL
    red, green, blue = (int(COLOURS[0][i : i + 2], 16) for i in (1, 3, 5))
    place = shown[shown.shape[0] // 2, 84:90]
    assert np.abs(place - [blue, green, red]).sum(1).min() < 60  # its outline, as JPEG gives it
    assert np.ptp(decoded(marked_picture(parts, 0, SMALL, masks=False)), axis=2).max() < 4
    assert decoded(marked_picture(parts, 1, SMALL)).shape[:2] == (64, 64)  # never enlarged


def test_an_image_over_the_limit_is_named_and_the_rest_is_read(tmp_path: Path) -> None:
    """By the report, and by the page's pictures."""
    parts = study(write(tmp_path / "set"), tmp_path / "cache", 100_000, workers=1)
    assert parts.pictures["path"].tolist() == ["b.png"]
    (failure,) = parts.failures
    assert "a.png" in failure and "0.5 megapixels, more than 0.1" in failure
    with pytest.raises(ImageError, match=r"a\.png"):
        marked_picture(parts, 0, SMALL)
    marked_picture(parts, 1, SMALL)


def test_a_link_made_after_the_set_was_opened_shows_nothing(tmp_path: Path, monkeypatch) -> None:
    root = tmp_path / "root"
    root.mkdir()
    monkeypatch.setenv("DEFECTVISION_SOURCE_ROOTS", f'["{root}"]')
    settings.cache_clear()
    try:
        parts = study(write(root / "set", (500, 800)), tmp_path / "cache", PIXELS, workers=1)
        (root / "set" / "a.png").rename(tmp_path / "secret.png")
        (root / "set" / "a.png").symlink_to(tmp_path / "secret.png")
        with pytest.raises(ImageError, match="leads out of what may be read"):
            marked_picture(parts, 0, SMALL)
        marked_picture(parts, 1, SMALL)
    finally:
        settings.cache_clear()


@pytest.mark.slow
def test_a_raised_limit_lets_larger_images_in(tmp_path: Path) -> None:
    root = write(tmp_path / "set", (7_000, 10_000))
    parts = study(root, tmp_path / "cache", 100_000_000, workers=1)
    assert parts.failures == [] and parts.pictures["width"].tolist() == [10_000, 64]
    assert parts.regions["area_px"].tolist() == [400]
    assert max(decoded(marked_picture(parts, 0, SMALL)).shape[:2]) == SMALL
    refused = study(root, tmp_path / "cache", PIXELS, workers=1)
    assert len(refused.failures) == 1 and "70.0 megapixels" in refused.failures[0]


@pytest.mark.parametrize("side", [30_000, 60_000])
def test_a_mask_that_claims_to_be_huge_is_refused_by_its_head(tmp_path: Path, side: int) -> None:
    root = write(tmp_path / "set")
    data = bytearray(cv2.imencode(".png", np.zeros((8, 8), np.uint8))[1].tobytes())
    data[16:24] = side.to_bytes(4, "big") * 2
    data[29:33] = zlib.crc32(data[12:29]).to_bytes(4, "big")
    (root / "a_mask.png").write_bytes(data)
    parts = study(root, tmp_path / "cache", PIXELS, workers=1)
    assert len(parts.pictures) == 2 and parts.regions.empty
    (failure,) = parts.failures
    assert f"the mask is {side} x {side} px, the image 900 x 600 px" in failure
    assert open_set(root, PIXELS).has_masks
