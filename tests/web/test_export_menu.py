"""What leaves a page has a harmless name and an icon."""

import pytest

from defectvision.report.batch_export import Leaving
from defectvision.web.export_menu import ICONS, file_stem


@pytest.mark.parametrize(
    ("name", "stem"),
    [("../../etc/passwd", "passwd"), ("<b>.png", "b"), ("日本.png", "image"), ("a b.png", "a_b")],
)
def test_download_names_are_harmless(name: str, stem: str) -> None:
    assert file_stem(name) == stem


def test_every_format_of_a_batch_has_an_icon() -> None:
    class Batch:
        mask_classes = ("3",)

    class Everything:
        batch = Batch()

    formats = Leaving(Everything(), *[None] * 4).formats()
    assert len(formats) == 9
    assert all(about.ending[about.ending.rindex(".") :] in ICONS for about in formats)
