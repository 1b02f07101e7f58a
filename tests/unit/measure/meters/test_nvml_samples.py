"""Energy from samples of a counter or of power, and clocks that are steady."""

from __future__ import annotations

import time
from itertools import count

import pytest

from perfsuite.errors import Unavailable
from perfsuite.measure.meters.nvml_samples import Sample, Sampler, energy_j_per_s, steady


def test_the_counter_counts_from_its_first_step_to_its_last() -> None:
    # It moves every half second by 50 J; the first and the last sample lie between two steps.
    samples = [
        Sample(energy_j=50.0 * int(at / 0.5), at_s=at) for at in (0.1 * i for i in range(41))
    ]
    assert energy_j_per_s(samples) == pytest.approx(100.0, rel=0.03)
    longer = [*samples, Sample(energy_j=samples[-1].energy_j, at_s=4.4)]
    assert energy_j_per_s(longer) == energy_j_per_s(samples)


def test_a_counter_that_stands_still_gives_no_zero() -> None:
    samples = [Sample(energy_j=7.0, at_s=0.1 * i) for i in range(100)]
    with pytest.raises(Unavailable, match="moved 0 times, at least 5"):
        energy_j_per_s(samples)


def test_steps_in_too_short_a_time_mean_nothing() -> None:
    samples = [Sample(energy_j=float(i), at_s=0.1 * i) for i in range(9)]
    with pytest.raises(Unavailable, match=r"sampled for 0\.70 s, at least 1 s"):
        energy_j_per_s(samples)


def test_power_is_integrated_by_trapezoids() -> None:
    samples = [Sample(power_w=100.0 * i, at_s=0.2 * i) for i in range(11)]  # 0 to 1000 W, evenly
    assert energy_j_per_s(samples) == pytest.approx(500.0)
    uneven = [Sample(power_w=300.0, at_s=0.0), *samples[1:]]
    assert energy_j_per_s(uneven) == pytest.approx(500.0 + 300.0 * 0.2 / 2 / 2.0)


def test_too_few_samples_of_power_mean_nothing() -> None:
    few = [Sample(power_w=1.0, at_s=float(i)) for i in range(9)]
    with pytest.raises(Unavailable, match="9 samples of the card's power, at least 10"):
        energy_j_per_s(few)
    with pytest.raises(Unavailable, match="sampled for"):
        energy_j_per_s([Sample(power_w=1.0, at_s=0.01 * i) for i in range(50)])


def test_a_card_that_tells_nothing_says_so() -> None:
    with pytest.raises(Unavailable, match="neither its energy nor its power"):
        energy_j_per_s([Sample(at_s=float(i)) for i in range(100)])


def test_a_clock_may_rise_at_the_begin_and_must_stay_then() -> None:
    assert steady([345.0, 1000.0, *[1980.0] * 10])
    assert steady([1980.0] * 9 + [1900.0] * 3)
    assert not steady([1980.0] * 9 + [1800.0] * 3)
    assert steady([])


def test_samples_are_taken_beside_until_it_is_stopped() -> None:
    numbers = count()
    sampler = Sampler(lambda: Sample(memory_bytes=next(numbers)))
    sampler.start()
    end = time.monotonic() + 10
    while len(sampler._samples) < 3 and time.monotonic() < end:
        time.sleep(0.01)
    samples, seconds = sampler.stop()
    assert [one.memory_bytes for one in samples] == list(range(len(samples)))
    assert len(samples) >= 3
    times = [one.at_s for one in samples]
    assert times == sorted(times)
    assert seconds > 0
