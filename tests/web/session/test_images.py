"""Images of a session, without a server: what is kept, what is inferred, which is open."""

from __future__ import annotations

import io
import zipfile

import pytest

from defectvision.bundle.policy import Policy
from defectvision.inference.inspector import AHEAD, Inspector
from defectvision.report.looks import verdicts_of
from defectvision.web.session import images
from defectvision.web.session.images import count_verdicts
from defectvision.web.session.work import Work
from tests.stand_ins.bundles import LINES
from tests.stand_ins.castings import CLEAR_DEFECT, GOOD, casting


def finish(work: Work, inspector: Inspector) -> None:
    list(work.images.take_in("casting"))
    list(work.images.inspect("casting", inspector, work.pictures))


def test_equal_content_is_inferred_once_and_listed_apart(counting: Inspector) -> None:
    work = Work()
    work.images.queue("casting", [("a.png", casting(*GOOD)), ("a.png", casting(*GOOD))])
    finish(work, counting)
    work.images.queue("casting", [("b.png", casting(*GOOD)), ("c.png", casting(*CLEAR_DEFECT))])
    finish(work, counting)
    results = work.images.results("casting", counting.loaded.version)
    assert [r.inspection.name for r in results] == ["a.png", "a (2).png", "b.png", "c.png"]
    assert counting.runtime.seen == 2


def test_another_version_is_inferred_anew(counting: Inspector) -> None:
    work = Work()
    work.images.queue("casting", [("a.png", casting(*GOOD))])
    finish(work, counting)
    assert work.images.pending("casting", counting.loaded.version) == []
    assert len(work.images.pending("casting", "another")) == 1
    assert work.images.results("casting", "another") == []


def test_what_cannot_be_used_keeps_its_place_and_reason(inspector: Inspector) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("lot/good.png", casting(*GOOD))
        archive.writestr("lot/bad.png", b"no image")
    work = Work()
    files = [("broken.png", casting(*GOOD)[:500]), ("lot.zip", packed.getvalue()), ("e.png", b"")]
    work.images.queue("casting", files)
    finish(work, inspector)
    results = work.images.results("casting", inspector.loaded.version)
    assert [(r.entry.name, r.error is None) for r in results] == [
        ("broken.png", False), ("lot.zip/lot/good.png", True), ("lot.zip/lot/bad.png", False),
        ("e.png", False),
    ]  # fmt: skip
    assert results[0].error.name == "broken.png"
    assert all(r.error.reason and r.error.remedy for r in results if r.error)


def test_images_larger_than_the_limit_are_refused(inspector: Inspector) -> None:
    work = Work()
    work.images.queue("casting", [("a.png", casting(*GOOD))])
    list(work.images.take_in("casting"))
    small = Inspector(inspector.loaded, 300 * 300 - 1, inspector.runtime)
    list(work.images.inspect("casting", small, work.pictures))
    (result,) = work.images.results("casting", inspector.loaded.version)
    assert "megapixels" in result.error.reason


@pytest.mark.slow
def test_broken_off_work_goes_on_where_it_stopped(counting: Inspector) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for seed in range(20):
            archive.writestr(f"{seed}.png", casting("ok", seed))
    work = Work()
    work.images.queue("casting", [("lot.zip", packed.getvalue())])
    opening = work.images.take_in("casting")
    next(opening), next(opening)
    opening.close()
    inspecting = work.images.inspect("casting", counting, work.pictures)
    next(inspecting)
    inspecting.close()
    (first,) = work.images.results("casting", counting.loaded.version)
    finish(work, counting)
    results = work.images.results("casting", counting.loaded.version)
    assert [r.entry.name for r in results] == [f"lot.zip/{i}.png" for i in range(20)]
    assert results[0].inspection.logits is first.inspection.logits
    # What was under way when it was broken off is inspected again.
    assert counting.runtime.seen <= 20 + 1 + AHEAD * counting.runtime.workers


def test_clearing_a_line_leaves_the_others(inspector: Inspector) -> None:
    work = Work()
    for line in ("casting", "other"):
        work.images.queue(line, [("a.png", casting(*GOOD))])
        list(work.images.take_in(line))
    work.images.queue("casting", [("b.png", casting(*CLEAR_DEFECT))])
    finish(work, inspector)
    work.clear("casting")
    assert work.images.results("casting", inspector.loaded.version) == []
    assert [e.name for e in work.images.entries["other"]] == ["a.png"]
    assert set(work.images.content) == {work.images.entries["other"][0].digest}


def test_what_was_dropped_in_last_is_opened(inspector: Inspector) -> None:
    work = Work()
    work.images.queue("casting", [("a.png", casting(*GOOD))])
    finish(work, inspector)
    work.images.queue("casting", [("broken.png", b"no image"), ("b.png", casting(*CLEAR_DEFECT))])
    finish(work, inspector)
    results = work.images.results("casting", inspector.loaded.version)
    assert work.images.open_result("casting", results).entry.name == "b.png"


def test_a_broken_file_leaves_the_open_image_open(inspector: Inspector) -> None:
    work = Work()
    work.images.queue("casting", [("a.png", casting(*GOOD)), ("b.png", casting(*CLEAR_DEFECT))])
    finish(work, inspector)
    work.images.open("casting", work.images.entries["casting"][1].number)
    work.images.queue("casting", [("broken.png", b"no image")])
    finish(work, inspector)
    results = work.images.results("casting", inspector.loaded.version)
    assert work.images.open_result("casting", results).entry.name == "b.png"


def test_a_policy_decides_the_counts_without_a_model(counting: Inspector) -> None:
    work = Work()
    work.images.queue("casting", [("a.png", casting(*GOOD)), ("b.png", casting(*CLEAR_DEFECT))])
    finish(work, counting)
    results = work.images.results("casting", counting.loaded.version)
    for low, high, expected in ((0.3, 0.7, (1, 0, 1)), (0, 1, (0, 2, 0)), (1, 1, (2, 0, 0))):
        counts = count_verdicts(results, Policy(accept_below=low, reject_above=high))
        assert tuple(counts[v] for v in verdicts_of(LINES["casting"])) == expected
    assert counting.runtime.seen == 2


def test_nothing_of_a_refused_file_is_kept(inspector: Inspector) -> None:
    work = Work()
    good, cut = casting(*GOOD), casting(*CLEAR_DEFECT)[:5000]
    work.images.queue("casting", [("cut.png", cut), ("good.png", good), ("again.png", cut)])
    finish(work, inspector)
    assert list(work.images.content.values()) == [good]
    assert work.images.held == len(good)
    results = work.images.results("casting", inspector.loaded.version)
    assert [r.entry.name for r in results if r.error] == ["cut.png", "again.png"]
    assert results[2].error.name == "again.png"
    assert work.images.pending("casting", "another version") == [results[1].entry.digest]


def test_a_session_holds_so_many_bytes_in_sum(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(images, "MOST_BYTES", 1000)
    work = Work()
    files = [(f"{i}.png", bytes([i]) * 300) for i in range(5)]
    work.images.queue("casting", files)
    list(work.images.take_in("casting"))
    reasons = [entry.error for entry in work.images.entries["casting"]]
    assert [reason is None for reason in reasons] == [True, True, True, False, False]
    assert "start a batch" in reasons[3].remedy
    work.images.clear("casting")
    work.images.queue("casting", files[:2])
    list(work.images.take_in("casting"))
    assert [entry.error for entry in work.images.entries["casting"]] == [None, None]
