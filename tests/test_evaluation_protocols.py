from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from evaluation.ground_truth import CAMERA, FORWARD, IMPROVED
from evaluation.metrics import METRIC_NAMES
from evaluation.protocols import (
    Protocol,
    eigen_protocol,
    garg_mask,
    image_batches,
    join_flipped,
    predict,
    read_resized,
    report,
    result,
    score,
    scored_mask,
)
from system.errors import InputError

HEIGHT, WIDTH = 50, 100
NO_SCALING = Protocol(crop=False, median_scaling=False)


def depth_map(depth: float = 10.0) -> np.ndarray:
    return np.full((HEIGHT, WIDTH), depth, np.float32)


def score_one(disparity: np.ndarray, gt: np.ndarray, protocol: Protocol) -> dict[str, float]:
    return score([disparity], [gt], protocol, ["image"]).mean()


def test_published_protocols():
    mono = eigen_protocol(FORWARD, stereo=False)
    assert (mono.crop, mono.median_scaling, mono.scale_factor) == (True, True, 1)
    assert (mono.min_depth, mono.max_depth) == (1e-3, 80)
    stereo = eigen_protocol(CAMERA, stereo=True, scale_factor=2)
    # The factor multiplies every predicted depth, metres as well.
    assert (stereo.crop, stereo.median_scaling, stereo.scale_factor) == (True, False, 10.8)
    assert eigen_protocol(CAMERA, stereo=True).scale_factor == 5.4
    assert not eigen_protocol(IMPROVED, stereo=False).crop
    unscaled = eigen_protocol(FORWARD, stereo=False, median_scaling=False, scale_factor=2)
    assert (unscaled.median_scaling, unscaled.scale_factor) == (False, 2)


def test_perfect_prediction_of_another_size():
    disparity = np.full((12, 25), 1 / 10, np.float32)
    assert score_one(disparity, depth_map(), NO_SCALING)["abs_rel"] == pytest.approx(0, abs=1e-6)


def test_median_scaling_takes_any_scale():
    generator = np.random.default_rng(0)
    gt = generator.uniform(2, 60, (HEIGHT, WIDTH)).astype(np.float32)
    scores = score(
        [1 / gt, 1 / (3 * gt)], [gt, gt], eigen_protocol(FORWARD, False), ["first", "second"]
    )
    np.testing.assert_allclose(scores.per_image[:, :4], 0, atol=1e-5)
    np.testing.assert_allclose(scores.ratios, [1, 1 / 3], rtol=1e-5)
    ratios = {"median": 2 / 3, "relative_std": 1 / 2}
    assert scores.scaling_ratios() == pytest.approx(ratios, rel=1e-5)


def test_stereo_depth_is_multiplied_and_not_scaled():
    protocol = eigen_protocol(FORWARD, stereo=True)
    metric = score_one(5.4 / depth_map(), depth_map(), protocol)
    doubled = score_one(2.7 / depth_map(), depth_map(), protocol)
    assert metric["abs_rel"] == pytest.approx(0, abs=1e-6)
    assert doubled["abs_rel"] == pytest.approx(1, abs=1e-6)


def test_predictions_are_capped():
    far = score_one(1 / depth_map(500), depth_map(80), NO_SCALING)
    assert far["abs_rel"] == pytest.approx(0, abs=1e-6)
    infinite = score_one(np.zeros((HEIGHT, WIDTH), np.float32), depth_map(80), NO_SCALING)
    assert infinite["abs_rel"] == pytest.approx(0, abs=1e-6)
    near = score_one(1 / depth_map(1e-5), depth_map(1e-3), NO_SCALING)
    assert near["abs_rel"] == pytest.approx(0, abs=1e-6)


def test_crop_is_the_published_one():
    mask = garg_mask(375, 1242)
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    assert (rows[0], rows[-1] + 1) == (153, 371)
    assert (columns[0], columns[-1] + 1) == (44, 1197)
    assert mask.sum() == (371 - 153) * (1197 - 44)


def test_only_points_inside_the_crop_and_cap_count():
    protocol = Protocol(crop=True, median_scaling=False)
    gt = depth_map(10)
    gt[~garg_mask(HEIGHT, WIDTH)] = 20
    gt[25, 50] = 80
    assert score_one(1 / depth_map(10), gt, protocol)["abs_rel"] == pytest.approx(0, abs=1e-6)
    assert score_one(1 / depth_map(10), gt, NO_SCALING)["abs_rel"] > 0.1


def test_image_without_ground_truth_is_skipped_by_name(caplog):
    disparity = 1 / depth_map()
    protocol = eigen_protocol(FORWARD, stereo=False)
    scores = score(
        [disparity] * 2, [0 * depth_map(), depth_map()], protocol, ["drive 1", "drive 2"]
    )
    assert scores.skipped == ("drive 1",)
    assert "drive 1" in caplog.text
    assert scores.per_image.shape == (1, len(METRIC_NAMES))
    assert np.isfinite(scores.per_image).all()
    assert "drive 1" in report(scores, protocol, FORWARD)
    with pytest.raises(InputError, match="no image has ground truth"):
        score([disparity], [0 * depth_map()], protocol, ["drive 1"])


@pytest.mark.parametrize("value", [np.nan, np.inf, -0.1])
def test_broken_prediction_is_refused_by_index(value):
    broken = 1 / depth_map()
    broken[3, 4] = value
    with pytest.raises(InputError, match=r"image 1 \(second\)"):
        score([1 / depth_map(), broken], [depth_map()] * 2, NO_SCALING, ["first", "second"])


def test_maps_that_stand_on_their_side_are_refused_by_name():
    upright, turned = depth_map(), depth_map().T
    disparities, names = [1 / depth_map()] * 2, ["first", "second"]
    with pytest.raises(InputError, match=r"second: its ground truth is 50x100, .* 100x50 .*transp"):
        score(disparities, [upright, turned], NO_SCALING, names)
    # Pictures are what counts, where they are known: the network may see them in any shape.
    square = [np.full((32, 32), 0.1, np.float32)] * 2
    sizes = [(200, 100), (200, 100)]
    assert len(score(square, [upright, upright], NO_SCALING, names, sizes).per_image) == 2
    with pytest.raises(InputError, match="second: its ground truth is 50x100"):
        score(square, [upright, turned], NO_SCALING, names, sizes)
    assert len(score(square, [turned] * 2, NO_SCALING, names, [(100, 200)] * 2).per_image) == 2


def test_ground_truth_that_is_hardly_in_metres_is_said(caplog):
    score_one(1 / depth_map(), depth_map(), NO_SCALING)
    assert caplog.text == ""
    score_one(1 / depth_map(), depth_map(10_000), NO_SCALING)
    assert "the ground truth: half of the depth is beyond 1e+04 m" in caplog.text


def test_a_metric_that_is_no_number_is_refused_by_name():
    protocol = Protocol(crop=False, median_scaling=True, scale_factor=float("inf"))
    refused = pytest.raises(InputError, match="second: cannot be measured, abs_rel is nan")
    with refused, np.errstate(invalid="ignore"):
        score([1 / depth_map()], [depth_map()], protocol, ["second"])


def test_missing_predictions_are_noticed():
    with pytest.raises(ValueError, match="expected 2 predictions"):
        score([1 / depth_map()], [depth_map()] * 2, NO_SCALING, ["first", "second"])


def stub_network(images: np.ndarray) -> np.ndarray:
    """Its sigmoid is the red channel."""
    return images[..., 0].astype(np.float32) / 255


def test_predict_turns_sigmoids_into_disparities():
    images = np.zeros((2, 1, 3, 3), np.uint8)
    images[1] = 255
    batches = [images, images[:1]]
    disparities = list(predict(stub_network, batches, 0.1, 100, post_process=False))
    assert [disparity.shape for disparity in disparities] == [(1, 3)] * 3
    np.testing.assert_allclose([d[0, 0] for d in disparities], [0.01, 10, 0.01], rtol=1e-6)


def test_predict_is_lazy():
    seen = []

    def network(images: np.ndarray) -> np.ndarray:
        seen.append(len(images))
        return stub_network(images)

    disparities = predict(network, iter([np.zeros((2, 4, 4, 3), np.uint8)] * 3), 0.1, 100, False)
    next(disparities)
    assert seen == [2]


def test_post_processing_of_a_symmetric_network_changes_nothing():
    images = np.random.default_rng(0).integers(0, 256, (2, 4, 40, 3), np.uint8)
    plain = list(predict(stub_network, [images], 0.1, 100, post_process=False))
    joined = list(predict(stub_network, [images], 0.1, 100, post_process=True))
    np.testing.assert_allclose(joined, plain, rtol=1e-5)


def test_join_flipped_by_place():
    joined = join_flipped(np.ones((1, 2, 201)), np.full((1, 2, 201), 3.0))[0, 0]
    # The left border takes the mirrored prediction, the right one the plain, the middle the mean.
    np.testing.assert_allclose(joined[:10], 3)
    np.testing.assert_allclose(joined[15], 2.5)  # half-way down the ramp, at 7.5 %
    np.testing.assert_allclose(joined[20:181], 2)
    np.testing.assert_allclose(joined[-10:], 1)


def test_report_says_how_it_was_measured():
    protocol = eigen_protocol(FORWARD, stereo=False)
    scores = score([1 / depth_map()], [depth_map()], protocol, ["image"])
    text = report(scores, protocol, FORWARD)
    for words in ("forward", "Garg", "80 m", "median scaling", "images: 1", "scaling ratios"):
        assert words in text
    assert text.splitlines()[-2].split(" | ")[0].strip() == "abs_rel"
    values = result(scores, protocol, FORWARD)
    assert set(values["metrics"]) == set(METRIC_NAMES)
    assert values["scaling_ratios"]["median"] == pytest.approx(1)
    stereo = eigen_protocol(IMPROVED, stereo=True)
    scores = score([1 / depth_map()], [depth_map()], stereo, ["image"])
    assert "scaling ratios" not in report(scores, stereo, IMPROVED)
    assert "times 5.4" in report(scores, stereo, IMPROVED)


@pytest.fixture
def paths(tmp_path):
    paths = [tmp_path / f"{index}.png" for index in range(7)]
    for index, path in enumerate(paths):
        Image.new("RGB", (20 + index, 10), (index, 0, 0)).save(path)
    return paths


@pytest.mark.parametrize("num_workers", [0, 1, 3])
def test_batches_keep_the_order(paths, num_workers):
    batches = list(image_batches(paths, 8, 4, 3, num_workers))
    assert [batch.shape for batch in batches] == [(3, 4, 8, 3), (3, 4, 8, 3), (1, 4, 8, 3)]
    assert batches[0].dtype == np.uint8
    np.testing.assert_array_equal(np.concatenate(batches)[:, 0, 0, 0], np.arange(7))


def test_resizing_is_lanczos(tmp_path):
    path = tmp_path / "noise.png"
    noise = np.random.default_rng(0).integers(0, 256, (30, 40, 3), np.uint8)
    Image.fromarray(noise).save(path)
    expected = Image.fromarray(noise).resize((16, 8), Image.LANCZOS)
    np.testing.assert_array_equal(read_resized(path, 16, 8), np.asarray(expected))


@pytest.mark.parametrize("num_workers", [0, 2])
def test_missing_image_is_named(paths, num_workers):
    paths[4].unlink()
    with pytest.raises(InputError, match=r"4\.png"):
        list(image_batches(paths, 8, 4, 3, num_workers))


def test_a_cap_cuts_predictions_and_truth_in_every_kind_of_ground_truth():
    gt = np.full((100, 200), 20.0)
    gt[50:] = 60
    gt[80:] = 90
    shares = {}
    for kind in (FORWARD, IMPROVED):
        for cap in (80.0, 50.0, 100.0):
            protocol = eigen_protocol(kind, stereo=False, max_depth=cap)
            shares[kind, cap] = sorted(set(gt[scored_mask(gt, protocol)]))
            assert protocol.max_depth == cap
    assert shares[FORWARD, 80] == [20, 60]
    assert shares[IMPROVED, 80] == [20, 60, 90]  # as published
    for kind in (FORWARD, IMPROVED):
        assert shares[kind, 50] == [20]
        assert shares[kind, 100] == [20, 60, 90]
