from tqdm import tqdm

from noiseproof.study.watch import Watch


def watched(total, times):
    said, clock = [], iter(times)
    watch = Watch(total, bar=tqdm(disable=True), say=said.append, clock=lambda: next(clock))
    return watch, said


def test_remaining_time_is_told_once_a_minute():
    watch, said = watched(100, [0.0, 30.0, 61.0, 90.0, 130.0])
    for _ in range(4):
        watch.advance(10)
    # After 61 s 20 of 100 are done: 80 more at 3.05 s.
    assert said == ["20 of 100 trainings, about 4.1 min left", "40 of 100 trainings, about 3.2 min left"]


def test_more_work_than_expected_is_not_less_than_none():
    watch, said = watched(1, [0.0, 61.0, 122.0])
    watch.advance(1)
    watch.advance(1)
    assert said == ["1 of 1 trainings, about 0.0 s left", "2 of 2 trainings, about 0.0 s left"]
