"""What a limit promises that good parts alone have set."""

from __future__ import annotations

import numpy as np
import pytest

from defectvision.evaluation.promise import (
    in_words,
    limit_of,
    most_stopped,
    parts_needed,
    promised,
)


@pytest.mark.parametrize(
    ("parts", "above", "share"),
    [(30, 0, 0.0950), (59, 0, 0.0495), (299, 0, 0.00997), (1, 0, 0.95), (93, 1, 0.0499)],
)
def test_the_bound_is_wilks(parts, above, share):
    assert most_stopped(parts, above) == pytest.approx(share, abs=2e-4)


def test_nothing_is_promised_of_parts_that_all_lie_above():
    assert most_stopped(5, 5) == 1


@pytest.mark.parametrize(("share", "parts"), [(0.1, 29), (0.05, 59), (0.01, 299)])
def test_parts_needed(share, parts):
    assert parts_needed(share) == parts
    assert most_stopped(parts) <= share < most_stopped(parts - 1)


def test_few_parts_limit_at_the_highest_and_many_leave_some_above():
    scores = np.random.default_rng(0).permutation(np.arange(30.0))
    assert limit_of(scores, 0.05) == (29.0, pytest.approx(0.095, abs=1e-3))
    limit, promised = limit_of(np.arange(1000.0), 0.05)
    above = 999 - int(limit)
    assert promised <= 0.05 < most_stopped(1000, above + 1)
    assert 30 < above < 50


@pytest.mark.parametrize("parts", [20, 60, 200])
@pytest.mark.parametrize("draw", ["normal", "lognormal", "two kinds"])
def test_the_promise_is_kept_as_often_as_promised(parts, draw):
    """Whatever the scores look like: 400 draws, at most 5 % of them beyond the promise, and a
    binomial's margin of that."""
    rng = np.random.default_rng(parts)
    draws = {
        "normal": lambda n: rng.normal(size=n),
        "lognormal": lambda n: rng.lognormal(sigma=2, size=n),
        "two kinds": lambda n: rng.normal(size=n) + 20 * (rng.random(n) < 0.1),
    }
    others = draws[draw](100_000)
    broken = 0
    for _ in range(400):
        limit, promised = limit_of(draws[draw](parts), 0.05)
        broken += (others > limit).mean() > promised
    assert broken / 400 <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 400)


def test_words_say_how_many_would_allow_what_was_asked_for():
    assert in_words(30, most_stopped(30), 0.05) == (
        "From 30 good parts, at most 9.5 % of good parts stopped can be promised (95% sure); "
        "59 would allow 5 %."
    )
    assert "299 would allow 1 %" in in_words(60, most_stopped(60), 0.01)


@pytest.mark.parametrize("parts", [59, 299, 3000])
def test_no_more_parts_are_asked_for_than_there_are(parts):
    assert "would allow" not in in_words(parts, promised(parts, 0.05), 0.05)
    assert promised(parts, 0.05) == limit_of(np.arange(float(parts)), 0.05)[1]
