"""Run-length masks by hand, against numpy, and every published row there and back."""

import time

import numpy as np
import pandas as pd
import pytest

from defectvision.data.catalog import CatalogError
from defectvision.data.rle.severstal import decode_rle, encode_rle

HEIGHT, WIDTH = 256, 1600
MASKS_A_SECOND = 1000


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("", ["....", "....", "...."]),
        ("1 1", ["#...", "....", "...."]),
        ("2 3 8 1", [".#..", "#.#.", "#..."]),
        ("12 1", ["....", "....", "...#"]),
        ("1 12", ["####", "####", "####"]),
        ("3 1 10 3", ["...#", "...#", "#..#"]),
    ],
)
def test_runs_go_down_the_columns_from_one(text, rows):
    wanted = np.array([[c == "#" for c in row] for row in rows])
    assert (decode_rle(text, 3, 4) == wanted).all()
    for layout in (wanted, np.asfortranarray(wanted), np.pad(wanted, 1)[1:-1, 1:-1]):
        assert encode_rle(layout) == text


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (9, 1), (7, 5), (64, 48), (0, 3)])
def test_any_mask_comes_back(size):
    rng = np.random.default_rng(0)
    for share in (0, 0.1, 0.5, 1):
        mask = rng.random(size) < share
        found = decode_rle(encode_rle(mask), *size)
        assert found.shape == mask.shape and (found == mask).all()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("1", "1 values, an odd number"),
        ("1 2 3", "3 values"),
        ("0 3", "starts at 0"),
        ("-2 3", "starts at -2"),
        ("1 13", r"ends at pixel 13.*4 x 3 px has 12.*another size"),
        ("5 2 6 1", "'5 2' and '6 1' overlap"),
        ("7 1 2 1", "out of order"),
        ("a b", "not numbers"),
        ("1.5 2", "not numbers"),
        ("3 0", "a run of 0 px"),
        ("1 99999999999999999999", "not numbers"),
    ],
)
def test_what_is_wrong_is_named_with_its_place(text, said):
    with pytest.raises(CatalogError, match=rf"^train\.csv, row 7: .*{said}"):
        decode_rle(text, 3, 4, where="train.csv, row 7")
    with pytest.raises(CatalogError, match=r"^run-length mask"):
        decode_rle(text, 3, 4)


@pytest.fixture(scope="module")
def published(shared_data):
    folder = shared_data / "severstal"
    files = [folder / "train.csv", folder / "rle_3701_images.csv.gz"]
    return {f.name: pd.read_csv(f, dtype=str, keep_default_na=False) for f in files}


@pytest.mark.slow
def test_every_published_row_comes_back(published):
    for name, rows in published.items():
        assert len(rows) > 40
        for number, text in enumerate(rows["EncodedPixels"], 2):
            mask = decode_rle(text, HEIGHT, WIDTH, f"{name}, row {number}")
            assert encode_rle(mask) == text, f"{name}, row {number}"


def test_areas_agree_with_the_label_table(published, shared_data):
    table = pd.read_csv(shared_data / "severstal" / "all_image_labels.csv").set_index("image_id")
    areas = {(i, c): n for c in "1234" for i, n in table[f"area_class_{c}"].items()}
    for name, rows in published.items():
        for row in rows.itertuples():
            area = np.count_nonzero(decode_rle(row.EncodedPixels, HEIGHT, WIDTH))
            assert area == areas[row.ImageId, row.ClassId], (name, row.ImageId)


@pytest.mark.slow
def test_a_thousand_masks_a_second(published):
    """Of processor time, on the best of three rounds: other programs run beside the tests."""
    texts = published["rle_3701_images.csv.gz"]["EncodedPixels"].tolist()[:500]
    decoding, encoding = [], []
    for _ in range(3):
        begun = time.process_time()
        masks = [decode_rle(text, HEIGHT, WIDTH) for text in texts]
        decoded = time.process_time()
        # as masks come from a model: row by row in memory
        rows = [np.ascontiguousarray(mask) for mask in masks]
        copied = time.process_time()
        for mask in rows:
            encode_rle(mask)
        decoding.append(decoded - begun)
        encoding.append(time.process_time() - copied)
    assert len(texts) / min(decoding) >= MASKS_A_SECOND
    assert len(texts) / min(encoding) >= MASKS_A_SECOND
