"""The odometry command, on a tiny sequence."""

from __future__ import annotations

import functools
import json
import shutil
from types import SimpleNamespace

import numpy as np
import paddle
import pytest
from PIL import Image

from datasets.conventions import STEREO
from datasets.footage import finding
from evaluation.odometry import chain, read_trajectory, relative_poses, write_kitti
from networks.monodepth import Architecture, Monodepth
from prediction.poses import PosePredictor, pairwise_poses
from system.errors import EXIT_BAD_INPUT, InputError, run_command
from tools import evaluate_pose
from weight_files.folder import save_weights
from weight_files.model_info import ModelInfo

FRAMES = 7


@pytest.fixture
def data(tmp_path):
    """KITTI odometry's layout: sequence 9 with seven frames of a straight drive."""
    folder = tmp_path / "odom" / "sequences" / "09" / "image_2"
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    for index in range(FRAMES):
        pixels = rng.integers(0, 255, (64, 96, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{index:06d}.png")
    (tmp_path / "odom" / "poses").mkdir()
    trajectory = np.tile(np.eye(4), (FRAMES, 1, 1))
    trajectory[:, 2, 3] = np.arange(FRAMES)
    write_kitti(tmp_path / "odom" / "poses" / "09.txt", trajectory)
    return tmp_path / "odom"


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """What makes the weights folder of an architecture, once each."""

    @functools.cache
    def made(**changes):
        paddle.seed(0)
        architecture = Architecture(**{"source_ids": (-1, 1), **changes})
        folder = tmp_path_factory.mktemp("weights")
        save_weights(folder, Monodepth(architecture), ModelInfo(architecture, 64, 96))
        return folder

    return made


@pytest.fixture
def words(data, tmp_path):
    """The command line that measures a model, and writes to ``tmp_path``."""

    def line(weights, *more):
        model = ["--load_weights_folder", str(weights), "--data_path", str(data)]
        out = ["--eval_out_dir", str(tmp_path), "--num_workers", "0", "--batch_size", "3"]
        return [*model, *out, *more]

    return line


@pytest.fixture
def predicting(monkeypatch):
    """Put a function of earlier and later frames in the place of every pose network."""

    def put(later_T_earlier):
        info = ModelInfo(Architecture(source_ids=(-1, 1)), 64, 96)
        predictor = SimpleNamespace(info=info, later_T_earlier=later_T_earlier)
        monkeypatch.setattr(PosePredictor, "from_folder", lambda folder, device: predictor)

    return put


@pytest.mark.parametrize("source_ids", [(-1, 1), (-1, 1, STEREO)])
def test_a_sequence_is_measured_and_written(source_ids, weights, words, tmp_path, capsys):
    evaluate_pose.main(words(weights(source_ids=source_ids)))
    result = json.loads((tmp_path / "odom_09.json").read_text())
    assert result["frames"] == FRAMES
    assert np.isfinite(result["five_frame_error"]["mean"])
    assert ("metres" in result["scale"]) == (STEREO in source_ids)
    assert read_trajectory(tmp_path / "odom_09_kitti.txt").shape == (FRAMES, 4, 4)
    assert np.loadtxt(tmp_path / "odom_09_tum.txt").shape == (FRAMES, 8)
    assert (tmp_path / "odom_09.png").stat().st_size > 1000
    assert "five-frame error" in capsys.readouterr().out


def test_a_perfect_network_has_no_error(predicting, words, tmp_path):
    """Whatever the scale: the true motion, a tenth as long, is predicted for every pair."""

    def true_motion(earlier, later):
        motion = np.tile(np.eye(4), (len(earlier), 1, 1))
        motion[:, 2, 3] = -0.1
        return motion

    predicting(true_motion)
    evaluate_pose.main(words("weights"))
    result = json.loads((tmp_path / "odom_09.json").read_text())
    assert result["five_frame_error"]["mean"] == pytest.approx(0, abs=1e-6)
    assert result["absolute_error_metres"] == pytest.approx(0, abs=1e-6)
    positions = read_trajectory(tmp_path / "odom_09_kitti.txt")[:, 2, 3]
    np.testing.assert_allclose(positions, np.arange(FRAMES), atol=1e-6)


@pytest.mark.parametrize("inverted", [False, True])
def test_the_motion_is_from_the_earlier_frame_to_the_later(
    inverted, data, predicting, words, tmp_path
):
    """On a drive through unlike curves, where no alignment hides the wrong direction."""
    trajectory = [np.eye(4)]
    for turn in (0.05, 0.1, -0.2, 0.3, 0.15, -0.1):
        motion, (c, s) = np.eye(4), (np.cos(turn), np.sin(turn))
        motion[:3] = [[c, 0, s, 0.5], [0, 1, 0, 0.1], [-s, 0, c, 24]]
        trajectory.append(trajectory[-1] @ motion)
    write_kitti(data / "poses" / "09.txt", np.stack(trajectory))
    motions = relative_poses(np.stack(trajectory))
    left = iter(np.linalg.inv(motions) if inverted else motions)

    predicting(lambda earlier, later: np.stack([next(left) for _ in earlier]))
    evaluate_pose.main(words("weights"))
    result = json.loads((tmp_path / "odom_09.json").read_text())
    errors = [result["five_frame_error"]["mean"], result["absolute_error_metres"]]
    errors += [result["drift"]["percent"], result["drift"]["degrees_per_100_m"]]
    if inverted:
        assert min(errors) > 1
    else:
        np.testing.assert_array_less(errors, 1e-6)


@pytest.mark.parametrize("pose_model_type", ["separate_resnet", "shared"])
def test_the_motion_is_that_of_training(pose_model_type, weights):
    changes = {} if pose_model_type == "separate_resnet" else {"pose_model_type": pose_model_type}
    predictor = PosePredictor.from_folder(weights(**changes))
    frames = np.random.default_rng(1).integers(0, 255, (3, 64, 96, 3), dtype=np.uint8)
    tensors = paddle.to_tensor(frames).transpose([0, 3, 1, 2]).astype("float32") / 255
    with paddle.no_grad():
        prediction = predictor.model(tensors[1:2], tensors[None, 0::2][:, :2])
    before, after = (motion.source_T_target().numpy()[0] for motion in prediction.motions)
    poses = pairwise_poses(predictor, [frames])
    # Training warps frame 1 into 0 and 2: the motion 0 -> 1 inverted, and 1 -> 2.
    np.testing.assert_allclose(np.linalg.inv(poses[0]), before, atol=1e-5)
    np.testing.assert_allclose(poses[1], after, atol=1e-5)


def test_pairs_across_batches_are_not_lost():
    class Counting:
        def later_T_earlier(self, earlier, later):
            motion = np.tile(np.eye(4), (len(earlier), 1, 1))
            motion[:, 0, 3] = later[:, 0, 0, 0].astype(float) - earlier[:, 0, 0, 0]
            return motion

    frames = np.arange(7, dtype=np.uint8)[:, None, None, None] ** 2
    batches = [frames[:3], frames[3:4], frames[4:]]
    poses = pairwise_poses(Counting(), batches)
    np.testing.assert_array_equal(poses[:, 0, 3], [1, 3, 5, 7, 9, 11])
    assert chain(poses).shape == (7, 4, 4)


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"source_ids": (STEREO,)}, "no pose network"),
        ({"pose_model_type": "posecnn"}, "posecnn"),
        ({"pose_model_input": "all"}, "sees all"),
    ],
)
def test_models_that_see_no_pairs_are_refused(changes, problem, weights, words):
    with pytest.raises(InputError, match=problem):
        evaluate_pose.main(words(weights(**changes)))


def test_missing_images_and_poses_are_named(data, predicting, words, capsys):
    predicting(lambda earlier, later: np.tile(np.eye(4), (len(earlier), 1, 1)))
    with pytest.raises(InputError, match=r"sequences.10.image_2.*KITTI odometry"):
        evaluate_pose.main(words("weights", "--eval_split", "odom_10"))
    poses = (data / "poses" / "09.txt").read_text()
    (data / "poses" / "09.txt").write_text("".join(poses.splitlines(keepends=True)[:-1]))
    with pytest.raises(InputError, match="holds 6 poses for the 7 images"):
        evaluate_pose.main(words("weights"))
    (data / "sequences" / "09" / "image_2" / "000003.png").unlink()
    with pytest.raises(SystemExit) as end:
        run_command(lambda: evaluate_pose.main(words("weights")))
    assert end.value.code == EXIT_BAD_INPUT
    assert "000003.png" in capsys.readouterr().err


def test_a_sequence_without_poses_is_predicted_only(data, predicting, words, tmp_path, capsys):
    """Sequences 11 to 21, whose truth KITTI keeps: the way, its length, files and a plot."""
    (data / "sequences" / "09").rename(data / "sequences" / "11")

    def ahead(earlier, later):
        motion = np.tile(np.eye(4), (len(earlier), 1, 1))
        motion[:, 2, 3] = -0.25
        return motion

    predicting(ahead)
    evaluate_pose.main(words("weights", "--eval_split", "odom_11"))
    result = json.loads((tmp_path / "odom_11.json").read_text())
    assert result["length"] == pytest.approx(0.25 * (FRAMES - 1))
    assert "five_frame_error" not in result
    tum = np.loadtxt(tmp_path / "odom_11_tum.txt")
    np.testing.assert_allclose(tum[:, 3], 0.25 * np.arange(FRAMES), atol=1e-6)
    assert (tmp_path / "odom_11.png").stat().st_size > 1000
    assert "without a unit" in capsys.readouterr().out


def test_a_sequence_whose_poses_are_published_needs_them(data, words):
    (data / "sequences" / "09").rename(data / "sequences" / "00")
    with pytest.raises(InputError, match=r"00\.txt: no such file of poses"):
        evaluate_pose.main(words("weights", "--eval_split", "odom_0"))


def test_the_way_of_ones_own_frames_is_written(data, predicting, words, tmp_path, monkeypatch):
    """Every second one of a folder of pictures: they meet the network in their order."""
    folder = data / "sequences" / "09" / "image_2"
    for index in range(FRAMES):
        Image.new("RGB", (32, 24), (10 * index,) * 3).save(folder / f"{index:06d}.png")

    def brighter(earlier, later):
        assert earlier.shape[1:] == (64, 96, 3)
        motion = np.tile(np.eye(4), (len(earlier), 1, 1))
        motion[:, 0, 3] = -(later[:, 0, 0, 0].astype(float) - earlier[:, 0, 0, 0])
        return motion

    predicting(brighter)
    monkeypatch.setattr(finding, "FEWEST_FRAMES", 2)
    shutil.copytree(folder, folder / "copies")  # what else is there is no part of it
    line = ["--image_path", str(folder), "--stride", "2", "--eval_out_dir", str(tmp_path)]
    evaluate_pose.main(["--load_weights_folder", "weights", *line, "--batch_size", "2"])
    tum = np.loadtxt(tmp_path / "image_2_tum.txt")
    np.testing.assert_allclose(tum[:, 0], [0, 0.2, 0.4, 0.6])
    np.testing.assert_allclose(tum[:, 1], [0, 20, 40, 60])
    assert (tmp_path / "image_2.png").is_file()
    with pytest.raises(InputError, match="name one of them"):
        evaluate_pose.main(words("weights", "--image_path", str(data / "sequences")))
    for path in [*folder.glob("copies/*"), *list(folder.glob("*.png"))[1:]]:
        path.unlink()
    with pytest.raises(InputError, match="two frames or more"):
        evaluate_pose.main(["--load_weights_folder", "weights", *line])
