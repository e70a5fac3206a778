"""A pipe in place of a file keeps nobody waiting: it is named, and the rest goes on."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from defectvision.audit.study import open_grouped, study
from defectvision.data.catalog import CatalogError
from defectvision.data.image_set import open_set
from defectvision.data.synthetic.samples import draw, write_samples
from defectvision.evaluation.seen import exactly_seen
from defectvision.inference.labelled_images import readable

LIMIT = 100_000


@pytest.fixture(autouse=True)
def impatient() -> Iterator[None]:
    def give_up(*_: object) -> None:
        raise TimeoutError("somebody waits for a pipe")

    before = signal.signal(signal.SIGALRM, give_up)
    signal.alarm(60)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


def test_an_image_that_is_a_pipe_is_left_out_and_named(tmp_path: Path) -> None:
    write_samples("casting", tmp_path / "parts", per_class=3, seed=5)
    (tmp_path / "parts/index.csv").unlink()
    os.mkfifo(tmp_path / "parts/ok/pipe.png")
    images = open_grouped(tmp_path / "parts", tmp_path / "cache", LIMIT)
    left, (failure,) = readable(images, masks=False)
    assert len(left.catalog) == 6
    assert str(failure) == "ok/pipe.png: not an ordinary file. Give a file in its place."
    (said,) = study(tmp_path / "parts", tmp_path / "cache", LIMIT).failures
    assert "ok/pipe.png" in said and "not an ordinary file" in said
    assert not exactly_seen(images.catalog, tmp_path).any()


def test_a_mask_that_is_a_pipe_is_named_with_its_image(tmp_path: Path) -> None:
    write_samples("magnetic-tile", tmp_path, per_class=2, seed=2, size=48)
    images = open_set(tmp_path, LIMIT)
    row = next(r for r in range(len(images.catalog)) if images.catalog.mask_path(r))
    images.catalog.mask_path(row).unlink()
    os.mkfifo(images.catalog.mask_path(row))
    _, (failure,) = readable(images, masks=True)
    assert failure.name == images.catalog.table["path"][row]
    assert "not an ordinary file" in failure.reason


@pytest.mark.parametrize("name", ["a.json", "a.xml", "a.txt", "data.yaml", "labels/a.txt"])
def test_an_annotation_that_is_a_pipe_keeps_nobody_waiting(tmp_path: Path, name: str) -> None:
    image = draw("casting", "ok", np.random.default_rng(1), 64)
    for place in ("ok/a.png", "def/b.png"):
        (tmp_path / place).parent.mkdir(exist_ok=True)
        cv2.imwrite(str(tmp_path / place), image)
    (tmp_path / name).parent.mkdir(exist_ok=True)
    os.mkfifo(tmp_path / name)
    try:
        assert len(open_set(tmp_path, LIMIT).catalog) == 2
    except CatalogError as error:
        assert name in str(error)
    shutil.rmtree(tmp_path)
