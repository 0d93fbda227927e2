from dataclasses import replace

import numpy as np
import pytest
from builders import likely_cascade
from reference import naive

import ert.plotting.landmarks
from ert import InputError, ShapePredictor
from ert.evaluation.explanation import explain
from ert.model.cropping import CropSpec
from ert.model.geometry import box_transforms, image_to_box, stretched_transforms


def path_of(leaf, n_splits):
    """The splits on the way to a leaf."""
    node = leaf + n_splits
    while node > 0:
        node = (node - 1) // 2
        yield node


def slow_reads(values, pairs, thresholds):
    """How often each pixel was compared, split by split."""
    reads = np.zeros(len(values), int)
    leaves = []
    for of_tree, limits in zip(pairs, thresholds, strict=True):
        leaves.append(naive.walk(values, of_tree, limits))
        for split in path_of(leaves[-1], len(limits)):
            for pixel in of_tree[split]:
                reads[pixel] += 1
    return reads, leaves


def test_it_agrees_with_the_slow_twin_and_with_prediction(small_model, faces):
    cascade = small_model.cascade_
    differing = total = 0
    for image, box in faces[0][:4]:
        found = explain(small_model, image, box)
        frames = box_transforms(box[None])
        np.testing.assert_array_equal(found.shapes[-1], small_model.predict([(image, box)])[0])
        crop, frame = cascade.crop_spec.cut(image, frames[0])
        mean = cascade.mean_shape.astype(float)
        np.testing.assert_allclose(image_to_box(found.shapes[:1], frames)[0], mean, atol=1e-6)
        for number, stage in enumerate(cascade.stages()):
            shape = image_to_box(found.shapes[[number]], frames)[0]
            matrix = naive.similarity(mean, shape)
            values = naive.read_pixels(crop, frame, shape, matrix, stage.anchors, stage.deltas)
            reads, leaves = slow_reads(values, stage.pairs, stage.thresholds)
            differing += np.abs(reads - found.reads[number]).sum()
            total += reads.sum()
            assert found.reads[number].sum() == 2 * stage.thresholds.shape[0] * 4
            if (reads == found.reads[number]).all():
                np.testing.assert_array_equal(found.values[number], values)
                paths = [sorted(path_of(leaf, stage.thresholds.shape[1])) for leaf in leaves]
                np.testing.assert_array_equal(found.splits[number], paths)
                moved = naive.add_leaves(stage.leaves, leaves) * stage.scales @ stage.basis
                expected = shape + moved.reshape(-1, 2) @ matrix.T
                after = image_to_box(found.shapes[[number + 1]], frames)[0]
                np.testing.assert_allclose(after, expected, atol=1e-4)
            places = (shape[stage.anchors] + stage.deltas @ matrix.T) * frames[0, 0] + frames[0, 4:]
            np.testing.assert_allclose(found.pixels[number], places, atol=1e-3)
    # Single against double precision: hardly a pixel read differs.
    assert differing < 0.02 * total


@pytest.mark.parametrize("compact", [False, True])
def test_models_of_dlib_are_explained_too(compact, tmp_path):
    differing = total = 0
    for seed, box in enumerate([(10.0, 12.0, 40.0, 40.0), (-8.0, -5.0, 40.0, 30.0), (30.0, 20.0, 60.0, 70.0)]):
        cascade = likely_cascade(seed)
        file = tmp_path / "model.dat"
        ert.model.dlib_format.write_dlib_file(file, cascade)
        model = ert.load(file)
        model = model.compact() if compact else model
        image = np.random.default_rng(seed).integers(0, 256, (60, 70), dtype=np.uint8)
        found = explain(model, image, box)
        np.testing.assert_array_equal(found.shapes[-1], model.predict([(image, box)])[0])
        frames = stretched_transforms(np.array([box]))
        for stage in range(len(cascade.anchors)):
            shape = image_to_box(found.shapes[[stage]], frames)[0]
            matrix = naive.similarity(cascade.mean_shape.astype(float), shape)
            values = []
            for anchor, delta in zip(cascade.anchors[stage], cascade.deltas[stage], strict=True):
                place = (shape[anchor] + matrix @ delta) * frames[0, [0, 3]] + frames[0, 4:]
                column, row = np.floor(place + 0.5).astype(int)
                inside = 0 <= row < 60 and 0 <= column < 70
                values.append(int(image[row, column]) if inside else 0)
            reads, _ = slow_reads(values, cascade.pairs[stage], cascade.thresholds[stage])
            differing += np.abs(reads - found.reads[stage]).sum()
            total += reads.sum()
    assert differing < 0.05 * total


def test_the_first_of_several_inits_is_explained(small_model, faces):
    image, box = faces[0][0]
    several = ShapePredictor(**small_model.get_params()).set_params(n_inits=5)
    several.fitted_ = small_model.fitted_
    one, other = explain(small_model, image, box), explain(several, image, box)
    np.testing.assert_array_equal(one.shapes, other.shapes)
    assert several.n_inits == 5


def test_files_and_colors_are_read_as_prediction_reads_them(small_model, tmp_path):
    image = np.random.default_rng(0).integers(0, 256, (90, 80, 3), dtype=np.uint8)
    ert.plotting.landmarks.save_image(tmp_path / "image.png", image)
    box = (15, 20, 50, 50)
    found = explain(small_model, tmp_path / "image.png", box)
    for same in (explain(small_model, image, box), explain(small_model, image[..., ::-1], box, channel_order="bgr")):
        np.testing.assert_array_equal(found.reads, same.reads)
        np.testing.assert_array_equal(found.shapes, same.shapes)


def test_crops_without_smoothing(small_model, faces):
    image, box = faces[0][0]
    cascade = small_model.cascade_
    model = ShapePredictor(**small_model.get_params())
    crop_spec = CropSpec(cascade.crop_spec.region, 32, 0.0)
    model.fitted_ = replace(small_model.fitted_, cascade=replace(cascade, crop_spec=crop_spec))
    found = ert.explain(model, image, box)
    np.testing.assert_array_equal(found.shapes[-1], model.predict([(image, box)])[0])


def test_bad_arguments_of_explain(small_model, faces):
    image = faces[0][0][0]
    with pytest.raises(InputError, match="the face: a box of 0 x 9"):
        explain(small_model, image, (0, 0, 0, 9), what="the face")
    with pytest.raises(InputError, match="the box lies outside"):
        explain(small_model, image, (900, 0, 9, 9))
    with pytest.raises(InputError, match="not fitted"):
        explain(ShapePredictor(), image, (0, 0, 9, 9))


def test_repr_of_an_explanation(small_model, faces):
    lines = repr(explain(small_model, *faces[0][0])).splitlines()
    assert lines[0].startswith("Explanation of 68 landmarks, moved by ")
    assert lines[1:] == [f"  3 stages of 40 trees and 150 pixels, {3 * 40 * 4 * 2} reads"]
