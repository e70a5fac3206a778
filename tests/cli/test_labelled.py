"""What the commands say of labelled images."""

from __future__ import annotations

from pathlib import Path

from defectvision.cli.labelled import print_unknown
from defectvision.data.catalog import Catalog, catalog_table
from defectvision.data.image_set import ImageSet
from defectvision.training.new_line import good_parts_line_for


def test_labels_that_a_line_does_not_know_are_told_with_what_to_do(tmp_path: Path, capsys) -> None:
    table = catalog_table({"path": list("abc"), "label": ["0", "0", "good"]})
    catalog = Catalog(tmp_path, table, "set")
    line = good_parts_line_for(catalog, tmp_path / "line", "b")
    print_unknown(ImageSet(catalog), line)
    told = " ".join(capsys.readouterr().err.split())
    assert "knows no label '0' (2)" in told and "--good" in told
    print_unknown(ImageSet(catalog.with_good(["0"])), line)
    assert capsys.readouterr().err == ""
