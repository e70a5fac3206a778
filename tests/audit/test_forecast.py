"""The time that is left: from what was measured, for all steps, or not told."""

from __future__ import annotations

import pytest

from defectvision.audit.forecast import SHARES, Forecast, Progress, Step

PICTURES = 1000


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def run(seconds: dict[Step, float], pair: float | None) -> list[tuple[float, Progress]]:
    """What is told, and when, of a study whose steps take so many seconds, in 50 pieces each."""
    clock, told = Clock(), []
    forecast = Forecast(PICTURES, 2, lambda p: told.append((clock.now, p)), clock)
    for step in SHARES:
        forecast.begin(step)
        for piece in range(1, 51):
            clock.now += seconds[step] / 50
            if step is Step.READ and pair is not None:
                forecast.pair_took(pair)
            forecast.advance(PICTURES * piece / 50)
    return told


# Pictures of 30 ms, pairs of 2 ms: what the map and the descriptions take follows from the latter.
USUAL = {Step.CHECK: 4.0, Step.READ: 30.0, Step.DESCRIBE: 5.0, Step.MAP: 3.6, Step.COMPARE: 16.0}


def test_the_total_is_known_from_the_first_word_on_and_never_changes() -> None:
    told = [progress for _, progress in run(USUAL, 0.002)]
    assert {progress.total for progress in told} == {PICTURES}
    assert all(progress.done <= progress.total for progress in told)
    shares = [progress.share for progress in told]
    assert shares == sorted(shares) and shares[-1] == pytest.approx(1)


@pytest.mark.parametrize("slower", [1.0, 8.0])
def test_the_time_left_is_that_of_all_steps_from_the_reading_on(slower: float) -> None:
    """On any machine: nothing but ratios is built in."""
    seconds = {step: slower * value for step, value in USUAL.items()}
    told = run(seconds, slower * 0.002)
    end = told[-1][0]
    reading = [(at, p) for at, p in told if p.step is Step.READ and p.left is not None]
    assert len(reading) > 25
    for at, progress in reading:
        assert progress.left == pytest.approx(end - at, rel=0.15)


def test_nothing_is_said_in_the_first_seconds_nor_without_a_measurement() -> None:
    told = run(USUAL, 0.002)
    begun = next(at for at, p in told if p.step is Step.READ)
    assert all(p.left is None for at, p in told if at < begun + 5)
    blind = run(USUAL, None)
    assert all(p.left is None for _, p in blind if p.step in (Step.READ, Step.DESCRIBE, Step.MAP))
    measured = [(at, p) for at, p in blind if p.step is Step.COMPARE and p.left is not None]
    assert len(measured) > 25
    for at, progress in measured:
        assert progress.left == pytest.approx(blind[-1][0] - at, abs=0.5)


def test_a_step_that_takes_longer_than_the_others_foretold_is_measured_itself() -> None:
    told = run(USUAL | {Step.COMPARE: 160.0}, 0.002)
    end = told[-1][0]
    late = [(at, p) for at, p in told if p.step is Step.COMPARE and end - at < 140]
    for at, progress in late:
        assert progress.left == pytest.approx(end - at, rel=0.1, abs=0.5)


def test_what_an_earlier_process_did_says_nothing_of_the_rate() -> None:
    clock, told = Clock(), []
    forecast = Forecast(PICTURES, 2, told.append, clock)
    forecast.begin(Step.COMPARE)
    clock.now += 0.1
    forecast.advance(800)  # all of it known
    forecast.restart()
    for done in range(810, PICTURES + 1, 10):
        clock.now += 1.0
        forecast.advance(done)
        if told[-1].left is not None:
            assert told[-1].left == pytest.approx((PICTURES - done) / 10)
    assert any(progress.left for progress in told)
