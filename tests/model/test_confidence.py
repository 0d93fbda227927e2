from dataclasses import replace

import numpy as np
import pytest
from reference import naive

import ert
from ert import InputError
from ert._kernels.confidence import run_forest
from ert.model.confidence import ConfidenceModel, Forest, check_confidence_model
from ert.model.cropping import CropSpec

N_PIXELS = 50


def random_confidence_model(rng, n_landmarks=68, blur=0.0):
    def forest(n_trees, n_components, n_outputs, scale):
        return Forest(
            rng.integers(0, N_PIXELS, (n_trees, 7, 2)).astype(np.uint16),
            rng.integers(-90, 90, (n_trees, 7)).astype(np.int16),
            rng.integers(-99, 99, (n_trees, 8, n_components)).astype(np.int8),
            rng.uniform(0, scale, n_components).astype(np.float32),
            rng.integers(-127, 128, (n_components, n_outputs)).astype(np.int8),
        )

    confidence_model = ConfidenceModel(
        mean_shape=rng.random((n_landmarks, 2)).astype(np.float32),
        crop_spec=CropSpec(np.array([-0.2, -0.2, 1.2, 1.2]), 40, blur),
        anchors=rng.integers(0, n_landmarks, N_PIXELS).astype(np.uint16),
        deltas=rng.normal(0, 0.1, (N_PIXELS, 2)).astype(np.float32),
        errors=forest(9, 5, n_landmarks, 1e-5),
        trust=forest(6, 1, 1, 1e-5),
        curve=np.array([[-1.0, 0.0, 0.5, 6.0], [-0.5, -0.1, 0.7, 6.0]]),
        baseline=rng.uniform(-4, -3, n_landmarks),
        ratios=np.sort(rng.gamma(2, 1, 31)),
        within_curve=np.array([[0.1, 0.5, 0.9], [0.2, 0.5, 0.8]]),
        confidence_weights=np.array([0.3, 1.5, -0.7]),
    )
    check_confidence_model(confidence_model)
    return confidence_model


def random_shape(rng, confidence_model, middle=(60.0, 50.0), side=55.0, roll=0.4):
    turn = np.array([[np.cos(roll), -np.sin(roll)], [np.sin(roll), np.cos(roll)]])
    scattered = (
        confidence_model.mean_shape
        - confidence_model.mean_shape.mean(axis=0)
        + rng.normal(0, 0.03, confidence_model.mean_shape.shape)
    )
    return np.ascontiguousarray(side * scattered @ turn.T + middle)


def assess(confidence_model, image, box, shape, normalizer=None):
    std, within = np.empty((2, len(shape)))
    confidence = confidence_model.assess_face(image, box, shape, "rgb", "luma", normalizer, std, within)
    return std, within, confidence


@pytest.mark.parametrize("normalizer", [None, "inter-ocular", "inter-pupil", "box", "diagonal"])
def test_assessment_matches_its_twin(normalizer):
    agreed = 0
    for seed in range(20):
        rng = np.random.default_rng(seed)
        confidence_model = random_confidence_model(rng, blur=(0.0, 1.0)[seed % 2])
        image = rng.integers(0, 256, (100, 120), dtype=np.uint8)
        # Upright, turned, far larger than the box, and partly outside of the image.
        shape = random_shape(rng, confidence_model, (60.0, 50.0 - 3 * seed), 20.0 + 8 * seed, 0.3 * seed)
        box = (30.0, 20.0, 55.0, 61.0)
        found = assess(confidence_model, image, box, shape, normalizer)
        expected = naive.confidence_model(image, box, shape, confidence_model, normalizer)
        # A position on the border of two pixels may fall to either in single precision.
        agreed += all(np.allclose(a, b, rtol=1e-4) for a, b in zip(found, expected, strict=True))
    assert agreed >= 17


def test_a_forest_matches_its_twin():
    rng = np.random.default_rng(0)
    confidence_model = random_confidence_model(rng)
    values = rng.integers(0, 256, (5, N_PIXELS), dtype=np.uint8)
    forest = confidence_model.errors
    out = run_forest(values, forest.arrays())
    for row, said in zip(values, out, strict=True):
        leaf_of = [naive.walk(row, p, t) for p, t in zip(forest.pairs, forest.thresholds, strict=True)]
        components = np.array(naive.add_leaves(forest.leaves, leaf_of))
        expected = naive.add_products(components, forest.scales, forest.basis, 80)
        assert np.array_equal(said, expected[:68])


def test_parts_of_an_image_and_colors_give_what_all_of_it_gives():
    rng = np.random.default_rng(1)
    confidence_model = random_confidence_model(rng)
    image = rng.integers(0, 256, (300, 320), dtype=np.uint8)
    color = np.stack([image] * 3, axis=2)
    read_only = image.copy()
    read_only.flags.writeable = False
    box = (100.0, 100.0, 60.0, 60.0)
    for middle in ((130.0, 131.0), (3.0, 5.0), (-150.0, 100.0), (900.0, 900.0)):
        shape = random_shape(rng, confidence_model, middle)
        expected = assess(confidence_model, image, box, shape)
        for other in (color, read_only):
            for a, b in zip(assess(confidence_model, other, box, shape), expected, strict=True):
                np.testing.assert_allclose(a, b, rtol=1e-12)


def test_a_part_that_was_read_before_changes_nothing(confident_model, faces):
    colors = [np.stack([image] * 3, axis=2) for image, _ in faces[0][:8]]
    for shift in (0.0, 30.0):
        X = [(image, np.add(box, (shift, -shift, 0, 0))) for image, (_, box) in zip(colors, faces[0], strict=False)]
        shapes, std = confident_model.predict(X, return_std=True)
        assert np.array_equal(shapes, confident_model.predict(X))
        assert np.array_equal(std, confident_model.assess(X, shapes).std)


def test_a_shape_without_extent_has_the_scale_of_its_box():
    rng = np.random.default_rng(2)
    image = rng.integers(0, 256, (100, 100), dtype=np.uint8)
    single = random_confidence_model(rng, 1)
    std, within, confidence = assess(single, image, (10.0, 10.0, 41.0, 41.0), np.array([[30.0, 30.0]]))
    assert np.isfinite(std).all()
    assert 0 < confidence < 1
    confidence_model = random_confidence_model(rng)
    std, within, confidence = assess(confidence_model, image, (10.0, 10.0, 41.0, 41.0), np.full((68, 2), 30.0), "box")
    assert np.isfinite(std).all()
    assert np.isfinite(within).all()
    assert np.isfinite(confidence)


def test_arrays_that_do_not_fit_are_named():
    confidence_model = random_confidence_model(np.random.default_rng(0))
    bad = [
        (
            replace(confidence_model, anchors=confidence_model.anchors + np.uint16(68)),
            "anchors: expected landmarks below 68",
        ),
        (replace(confidence_model, baseline=confidence_model.baseline[:5]), r"baseline has shape \(5,\)"),
        (
            replace(confidence_model, baseline=confidence_model.baseline * np.nan),
            "baseline has numbers that are not finite",
        ),
        (replace(confidence_model, ratios=confidence_model.ratios[::-1]), "ratios: expected increasing numbers"),
        (replace(confidence_model, curve=confidence_model.curve[:, :1]), "curve: expected increasing numbers"),
        (
            replace(
                confidence_model,
                trust=replace(confidence_model.trust, pairs=confidence_model.trust.pairs + np.uint16(50)),
            ),
            "trust pairs: expected pixels below 50",
        ),
        (
            replace(
                confidence_model,
                errors=replace(confidence_model.errors, thresholds=confidence_model.errors.thresholds[:, :6]),
            ),
            "errors: 9 trees of 6 splits are not full binary trees",
        ),
    ]
    for broken, message in bad:
        with pytest.raises(InputError, match=message):
            check_confidence_model(broken)


def test_the_radius_follows_the_quantiles():
    confidence_model = replace(random_confidence_model(np.random.default_rng(0)), ratios=np.array([0.0, 1.0, 4.0]))
    assert [confidence_model.radius(level) for level in (0.25, 0.5, 0.75)] == [0.5, 1.0, 2.5]


def test_predict_and_assess_say_the_same(confident_model, faces):
    X = faces[0][:6]
    shapes, std = confident_model.predict(X, return_std=True)
    for number, face in enumerate(X[:3]):
        # The quick way for a single one.
        alone, alone_std = confident_model.predict([face], return_std=True)
        assert np.array_equal(alone[0], shapes[number])
        assert np.array_equal(alone_std[0], std[number])
    assert np.array_equal(shapes, confident_model.predict(X))
    said = confident_model.assess(X, shapes)
    assert np.array_equal(said.std, std)
    assert said.std.shape == said.within.shape == (6, 68)
    assert said.confidence.shape == (6,)
    for n_jobs in (2, 3):
        again = confident_model.assess(X, shapes, n_jobs=n_jobs)
        assert np.array_equal(again.std, std)
        assert np.array_equal(again.confidence, said.confidence)
    rotated, std = confident_model.predict(X, max_roll=20, return_std=True)
    assert np.array_equal(confident_model.assess(X, rotated).std, std)
    assert len(confident_model.assess([], np.empty((0, 68, 2))).confidence) == 0


def test_bad_input_is_named(confident_model, small_model, faces):
    X = faces[0][:2]
    shapes = confident_model.predict(X)
    with pytest.raises(InputError, match=r"landmarks: expected shape \(2, 68, 2\), got \(2, 67, 2\)"):
        confident_model.assess(X, shapes[:, 1:])
    with pytest.raises(InputError, match="landmarks: expected finite numbers"):
        confident_model.assess(X, shapes * np.nan)
    with pytest.raises(InputError, match=r"level=1\.5: expected 0 to 1"):
        confident_model.std_radius(1.5)
    for ask in (
        lambda: small_model.predict(X, return_std=True),
        lambda: small_model.assess(X, shapes),
        lambda: small_model.std_radius(),
    ):
        with pytest.raises(InputError, match="this model has no confidence model"):
            ask()


def test_the_confidence_model_is_saved(confident_model, small_model, faces, tmp_path):
    confident_model.save(tmp_path / "confident.ert")
    again = ert.load(tmp_path / "confident.ert")
    X = faces[0][:3]
    shapes, std = confident_model.predict(X, return_std=True)
    for a, b in zip(again.predict(X, return_std=True), (shapes, std), strict=True):
        assert np.array_equal(a, b)
    assert again.fitted_.confidence_summary == confident_model.fitted_.confidence_summary
    again.save(tmp_path / "again.ert")
    assert (tmp_path / "again.ert").read_bytes() == (tmp_path / "confident.ert").read_bytes()
    small_model.save(tmp_path / "small.ert")
    assert ert.load(tmp_path / "small.ert").confidence_model_ is None


def test_aligned_faces_have_their_assessment(confident_model, small_model):
    image = np.random.default_rng(0).integers(0, 256, (96, 96, 3), dtype=np.uint8)
    boxes = [(10.0, 12.0, 60.0, 60.0), (30.0, 20.0, 50.0, 50.0)]
    faces = ert.align(image, confident_model, boxes=boxes)
    said = confident_model.assess([(image, box) for box in boxes], [face.landmarks for face in faces])
    assert np.array_equal([face.std for face in faces], said.std)
    assert [face.confidence for face in faces] == said.confidence.tolist()
    # Nothing but noise.
    assert ert.align(image, confident_model, boxes=boxes, min_confidence=0.99) == []
    assert ert.align(image, small_model, boxes=boxes)[0].std is None
    with pytest.raises(InputError, match=r"min_confidence=0\.5: the model has no confidence model"):
        ert.align(image, small_model, boxes=boxes, min_confidence=0.5)
    with pytest.raises(InputError, match=r"min_confidence=2: expected 0 to 1"):
        ert.align(image, confident_model, boxes=boxes, min_confidence=2)
