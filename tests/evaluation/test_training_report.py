import numpy as np
import pytest
from helpers import small_predictor
from lxml import html

from ert.evaluation import training_report as module
from ert.evaluation.training_report import TrainingReport


class Clock:
    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


def fitted(n, n_stages=5):
    """What a fit hands over after n stages."""
    model = small_predictor(n_stages=n_stages)
    history = [{"stage": i + 1, "train_nme": 5.0 - i} for i in range(n)]
    return type("Model", (), {"history_": history, "n_stages": n_stages, "get_params": model.get_params})()


def ticking(tmp_path, ends, **options):
    clock = Clock()
    made = TrainingReport(tmp_path / "r.html", "t", small_predictor(n_stages=5), {}, clock=clock, **options)
    for number, end in enumerate(ends):
        clock.now = end
        made.stage(fitted(number + 1))
    return made


def refreshes(path):
    text = path.read_text(encoding="utf-8")
    return bool(html.document_fromstring(text).xpath("//meta[@http-equiv='refresh']"))


@pytest.mark.parametrize(
    ("ends", "finished", "left"),
    [
        ([], 0, None),
        ([30], 0, 4 * 30),  # includes reading images
        ([30, 40], 0, 3 * 10),
        ([30, 40, 60, 80], 0, 50 / 3),
        ([1, 2], 2, None),  # replayed
        ([1, 2, 12], 2, 2 * 10),
        ([1, 2, 12, 20], 2, 9),
        ([1, 2, 3, 4, 5], 0, 0),
    ],
)
def test_remaining_time(tmp_path, ends, finished, left):
    assert ticking(tmp_path, ends, finished=finished).seconds_left() == (None if left is None else pytest.approx(left))


def test_the_page_follows_the_training(faces, tmp_path):
    X, y = faces
    page = tmp_path / "report.html"
    model = small_predictor(n_jobs=1)
    report = TrainingReport(page, "Training <x>", model, {"Objects": "80 <of> them"})
    seen = []

    def stage(partly):
        assert partly is model
        report.stage(partly)
        seen.append(html.document_fromstring(page.read_text(encoding="utf-8")))
        assert refreshes(page)

    with report:
        assert "before the first stage" in page.read_text(encoding="utf-8")
        assert refreshes(page)
        model.fit(X[:80], y[:80], validation=(X[80:], y[80:]), on_stage=stage)
    assert not refreshes(page)
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]
    last = html.document_fromstring(page.read_text(encoding="utf-8"))
    assert "Finished" in last.text_content()
    for number, tree in enumerate([*seen, last]):
        done = min(number + 1, 3)
        assert tree.xpath("//progress/@value") == [str(done)]
        rows = [[cell.text for cell in row] for row in tree.xpath("(//table)[1]/tbody/tr")]
        assert [row[0] for row in rows] == [str(i) for i in range(done, 0, -1)]
        entry = model.history_[done - 1]
        assert rows[0][1:] == [f"{entry['train_nme']:.3f}", f"{entry['validation_nme']:.3f}"]
        assert ("remaining time" in tree.text_content()) == (number < 3)
        assert not tree.xpath("//x | //of")


@pytest.mark.parametrize(("error", "said"), [(KeyboardInterrupt, "Interrupted"), (ValueError("odd <b>"), "odd <b>")])
def test_the_page_shows_errors_and_interruptions(faces, tmp_path, error, said):
    X, y = faces
    page = tmp_path / "report.html"
    model = small_predictor(n_jobs=1)
    report = TrainingReport(page, "t", model, {})

    def stage(partly):
        report.stage(partly)
        raise error

    with pytest.raises((KeyboardInterrupt, ValueError)), report:
        model.fit(X[:20], y[:20], on_stage=stage)
    assert not refreshes(page)
    tree = html.document_fromstring(page.read_text(encoding="utf-8"))
    assert said in tree.xpath("//strong")[0].text
    assert tree.xpath("//progress/@value") == ["1"]


def test_a_page_that_cannot_be_written_does_not_end_the_training(faces, tmp_path, capsys):
    X, y = faces
    model = small_predictor(n_jobs=1, n_stages=2)
    report = TrainingReport(tmp_path / "no folder" / "report.html", "t", model, {})
    with report:
        model.fit(X[:20], y[:20], on_stage=report.stage)
    assert len(model.history_) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert "no folder" in lines[0]
    assert lines[0].endswith("training continues")


def test_replayed_stages_are_reported(faces, tmp_path):
    X, y = faces
    checkpoint, seen = tmp_path / "c.ert", []
    small_predictor(n_stages=2, n_jobs=1).fit(X[:20], y[:20], checkpoint=checkpoint)
    model = small_predictor(n_stages=3, n_jobs=1)
    model.fit(
        X[:20],
        y[:20],
        checkpoint=checkpoint,
        resume=True,
        on_stage=lambda partly: seen.append((len(partly.history_), partly.predict(X[:1]))),
    )
    assert [n for n, _ in seen] == [1, 2, 3]
    np.testing.assert_array_equal(seen[-1][1], model.predict(X[:1]))
    assert (seen[0][1] != seen[1][1]).any()


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 s"), (59.4, "59 s"), (59.6, "1 min"), (3569, "59 min"), (3580, "1 h 0 min"), (7000, "1 h 57 min")],
)
def test_durations(seconds, text):
    assert module._duration(seconds) == text
