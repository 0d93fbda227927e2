import threading

from ert._core.exceptions import InputError
from ert.annotation.assistance.look_ahead import LookAhead


def wait_for(condition):
    waiting = threading.Event()
    for _ in range(6000):
        if condition():
            return
        waiting.wait(0.01)
    raise AssertionError("timed out")


def test_candidates_are_scored_once_until_the_model_is_another_one():
    asked, scores, candidates = [], {1: 0.75, 2: 0.5}, [1, 2]

    def score(i):
        asked.append(i)
        if i not in scores:
            raise InputError("no photo")
        return scores[i]

    ahead = LookAhead(lambda: list(candidates), score)
    assert ahead.doubts() == {}
    ahead.go_on()
    wait_for(lambda: ahead.doubts() == {1: 0.25, 2: 0.5})
    candidates[:] = [2, 3]
    ahead.go_on()
    wait_for(lambda: ahead.doubts() == {1: 0.25, 2: 0.5, 3: 0.0})
    assert asked == [1, 2, 3]
    scores[2] = 1.0
    ahead.renew()
    wait_for(lambda: ahead.doubts() == {2: 0.0, 3: 0.0})
    ahead.close()


def test_what_an_earlier_model_said_is_not_kept():
    begun, go_on, answers = threading.Event(), threading.Event(), iter([0.75, 0.5])

    def score(i):
        answer = next(answers)
        begun.set()
        go_on.wait()
        return answer

    ahead = LookAhead(lambda: [5], score)
    ahead.go_on()
    begun.wait()
    ahead.renew()
    go_on.set()
    wait_for(ahead.doubts)
    assert ahead.doubts() == {5: 0.5}
    ahead.close()
