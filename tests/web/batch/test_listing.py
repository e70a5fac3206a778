"""The Batches and Results pages name what they show, and their grey buttons what they wait for."""

from __future__ import annotations

from threading import Event

import numpy as np
import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from defectvision.batch.runner import work_on
from defectvision.batch.sources import upload_source
from defectvision.bundle.policy import Verdict
from defectvision.bundle.reader import load_bundle
from defectvision.limits import Limits
from defectvision.people import unproven
from defectvision.settings import ROOT, settings
from defectvision.store import batches
from defectvision.store.database import Store
from defectvision.store.inspections import Summary
from defectvision.web.batch.browser import yield_words
from defectvision.web.batch.listing import size_words
from tests.stand_ins.castings import casting


@pytest.fixture(autouse=True)
def no_links(monkeypatch: pytest.MonkeyPatch) -> None:
    """A page by itself has no others to link to."""
    monkeypatch.setattr(st, "page_link", lambda *_, **__: None)


def drawn(page: str) -> AppTest:
    app = AppTest.from_file(str(ROOT / "pages" / f"{page}.py"), default_timeout=60).run()
    assert not app.exception
    return app


def held(app: AppTest) -> str:
    return next(c.value for c in app.caption if c.value.startswith("The store holds"))


def test_the_size_of_the_store_follows_the_next_batch(worked: Store) -> None:
    app = drawn("batches")
    before = held(app)
    assert "0.00" not in before and before.endswith("kB.")
    source = upload_source([("b.png", casting("def", 106))], worked.files)
    loaded = load_bundle(settings().weights, "casting")
    with worked.session() as session:
        number = batches.add_batch(session, loaded, source, "lot 8", unproven("ada"), "all").id
    work_on(worked, settings().weights, Limits(), number, Event())
    assert held(app.run()) != before


@pytest.mark.parametrize(
    ("size", "words"),
    [(0, "0 kB"), (420_000, "420 kB"), (3_400_000, "3.4 MB"), (1.26e9, "1.26 GB")],
)
def test_sizes_are_told_in_units_that_fit(size: int, words: str) -> None:
    assert size_words(size) == words


def test_a_batch_is_listed_under_the_title_of_its_line(worked: Store) -> None:
    (table,) = drawn("batches").dataframe
    assert list(table.value["line"]) == ["Casting"]


def test_results_name_line_and_model(worked: Store) -> None:
    assert "Casting, with the model resnet50" in [c.value for c in drawn("results").caption]


def test_a_grey_button_says_what_it_waits_for(worked: Store) -> None:
    start = next(b for b in drawn("batches").button if b.label == "Start batch")
    assert start.disabled and "Give images first" in start.help
    app = drawn("results")

    def release():
        return next(b for b in app.button if b.label == "Release the lot")

    assert release().disabled and "Give your name" in release().help
    app.text_input(key="who").set_value("ada").run()
    assert release().disabled and "Give a reason first" in release().help
    app.text_input(key="release-reason").set_value("checked").run()
    assert not release().disabled and not release().help


@pytest.mark.parametrize(
    ("accepted", "rejected", "waiting", "words"),
    [
        (10, 0, 12, "accepted, of 10 parts accepted or rejected; 12 wait for a person."),
        (1, 0, 1, "accepted, of 1 part accepted or rejected; 1 waits for a person."),
        (7, 3, 0, "accepted, of 10 parts accepted or rejected."),
        (0, 0, 2, "no part is accepted or rejected yet; 2 wait for a person."),
    ],
)
def test_a_yield_says_of_how_many_parts(accepted, rejected, waiting, words) -> None:
    counts = dict.fromkeys(Verdict, 0)
    counts |= {Verdict.ACCEPT: accepted, Verdict.REJECT: rejected, Verdict.REVIEW: waiting}
    lot = Summary(sum(counts.values()), counts, {}, {}, 0, 0, np.zeros(4, np.int64))
    assert yield_words(lot) == words
