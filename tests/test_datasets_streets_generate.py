"""Generated streets: ray casting, exact depth against pictures and sweeps, files on disk."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from datasets.streets import generate as synthetic
from datasets.streets.casting import GROUND, SKY, cast_rays
from datasets.streets.generate import DATE, StreetSettings, generate_streets, list_drives
from datasets.streets.render import render_depth, render_image
from datasets.streets.sensors import (
    BASELINE,
    CAMERA_HEIGHT,
    calibration_files,
    camera_rays,
    kitti_camera,
    right_camera_pose,
    scan_street,
)
from datasets.streets.texture import make_noise_texture
from datasets.streets.world import BOX, Pose, make_street
from system.errors import InputError

SHARED = Path(__file__).parents[1].parent / "shared"
TINY = StreetSettings(width=128, height=64, train_drives=2, val_drives=1, test_drives=1, frames=4)
CAMERA = kitti_camera(208, 64)
WIDTH, HEIGHT = CAMERA.image_size
(FX, _, CX), (_, FY, CY) = CAMERA.K[:2]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    out = tmp_path_factory.mktemp("streets") / "tiny"
    generate_streets(out, TINY, num_workers=2)
    return out


@pytest.fixture(scope="module")
def street():
    """A street without traffic, so that everything that moves is the camera."""
    drawn = make_street(np.random.SeedSequence(5), index=0, num_frames=4)
    return replace(drawn, moving_boxes=(np.empty(0, BOX),) * 4)


def contents(folder: Path) -> dict[str, bytes]:
    return {
        str(file.relative_to(folder)): file.read_bytes()
        for file in sorted(folder.rglob("*"))
        if file.is_file()
    }


def read_calibration(text: str) -> dict[str, np.ndarray]:
    pairs = (line.split(": ", 1) for line in text.splitlines() if "calib_time" not in line)
    return {key: np.array(values.split(), float) for key, values in pairs}


def one_box(centre, half, yaw=0.0, bottom=0.0, top=1.0):
    box = np.zeros(1, BOX)
    box["centre"], box["half"], box["yaw"] = centre, half, yaw
    box["bottom"], box["top"] = bottom, top
    return box


def world_from_camera(pose: Pose) -> np.ndarray:
    """Camera axes (right, down, ahead) to world axes (x, y, z up), 4x4."""
    cos, sin = np.cos(pose.yaw), np.sin(pose.yaw)
    transform = np.eye(4)
    transform[:3] = [
        [sin, 0, cos, pose.x],
        [-cos, 0, sin, pose.y],
        [0, -1, 0, CAMERA_HEIGHT],
    ]
    return transform


def reproject(depth, camera, pose, other_pose):
    """Pixels u, v and depth in another camera of what this camera sees."""
    v, u = np.mgrid[tuple(slice(n) for n in camera.image_size[::-1])]
    (fx, _, cx), (_, fy, cy) = camera.K[:2]
    finite = np.where(np.isfinite(depth), depth, 1e4)
    rays = np.stack([(u - cx) / fx, (v - cy) / fy, np.ones(u.shape)])
    points = np.concatenate([rays * finite, np.ones((1, *u.shape))])
    other_from_camera = np.linalg.inv(world_from_camera(other_pose)) @ world_from_camera(pose)
    x, y, z, _ = np.einsum("ij,jhw->ihw", other_from_camera, points)
    return fx * x / z + cx, fy * y / z + cy, z


def warp_error(street, frame, pose, other_frame, other_pose, depth_factor=1.0):
    """Mean difference in grey levels of a picture and the other one warped by the exact depth.

    Leaves out what the other camera does not see.
    """
    image = render_image(street, frame, pose, CAMERA).astype(np.float32)
    other = render_image(street, other_frame, other_pose, CAMERA).astype(np.float32)
    depth = render_depth(street, frame, pose, CAMERA)
    other_depth = render_depth(street, other_frame, other_pose, CAMERA)

    u, v, z = (a.astype(np.float32) for a in reproject(depth, CAMERA, pose, other_pose))
    seen_depth = cv2.remap(other_depth, u, v, cv2.INTER_NEAREST)
    visible = np.isfinite(depth) & (np.abs(seen_depth / z - 1) < 0.05)
    visible &= (u > 1) & (u < WIDTH - 2) & (v > 1) & (v < HEIGHT - 2)
    assert visible.mean() > 0.5

    u, v, _ = reproject(depth * depth_factor, CAMERA, pose, other_pose)
    warped = cv2.remap(other, u.astype(np.float32), v.astype(np.float32), cv2.INTER_LINEAR)
    return np.abs(warped - image)[visible].mean()


def test_ground_depth_is_height_times_focal_length_over_rows_below_the_horizon():
    hits = cast_rays(np.empty(0, BOX), Pose(3, -2, 0.4), CAMERA_HEIGHT, camera_rays(CAMERA))
    rows = np.arange(HEIGHT)
    below = rows > CY
    expected = CAMERA_HEIGHT * FY / (rows[below] - CY)
    np.testing.assert_allclose(hits.t[below], np.repeat(expected[:, None], 208, 1), rtol=1e-4)
    assert (hits.surface[below] == GROUND).all()
    assert (hits.surface[~below] == SKY).all() and np.isinf(hits.t[~below]).all()


def test_box_ahead_has_the_depth_of_its_front_and_of_its_top():
    # 10 m ahead in the direction of view, 2 m deep, lower than the camera.
    yaw = 0.7
    box = one_box((10 * np.cos(yaw), 10 * np.sin(yaw)), (1, 2), yaw, top=1.0)
    hits = cast_rays(box, Pose(0, 0, yaw), CAMERA_HEIGHT, camera_rays(CAMERA))
    front, top = hits.surface == 0, hits.surface == 1
    np.testing.assert_allclose(hits.t[front], 9, rtol=1e-5)
    assert hits.t[top].min() >= 9 and hits.t[top].max() <= 11
    rows = np.nonzero(top)[0]
    expected = (CAMERA_HEIGHT - 1) * FY / (rows - CY)
    np.testing.assert_allclose(hits.t[top], expected, rtol=1e-4)
    columns = np.nonzero(front.any(axis=0))[0]
    assert abs(columns[0] - (CX - 2 / 9 * FX)) <= 1
    assert abs(columns[-1] - (CX + 2 / 9 * FX)) <= 1


def test_turned_box_agrees_with_its_corner_and_hides_what_is_behind():
    near = one_box((8, 0), (1, 1), np.pi / 4, top=5)
    far = one_box((20, 0), (1, 30), top=5)
    hits = cast_rays(np.concatenate([far, near]), Pose(0, 0, 0), CAMERA_HEIGHT, camera_rays(CAMERA))
    row = hits.t[int(CY)]
    assert row.min() == pytest.approx(8 - np.sqrt(2), rel=1e-2)
    assert row.max() == pytest.approx(19, rel=1e-4)


def test_box_behind_the_camera_is_not_seen():
    hits = cast_rays(one_box((-5, 0), (1, 1), top=9), Pose(0, 0, 0), 1.65, camera_rays(CAMERA))
    assert (hits.surface < 0).all()


def test_underside_of_a_raised_box_is_seen_from_below():
    box = one_box((10, 0), (3, 2), bottom=2.5, top=4)
    hits = cast_rays(box, Pose(0, 0, 0), CAMERA_HEIGHT, camera_rays(CAMERA))
    rows = np.nonzero(hits.surface == 1)[0]
    assert len(rows)
    expected = (2.5 - CAMERA_HEIGHT) * FY / (CY - rows)
    np.testing.assert_allclose(hits.t[hits.surface == 1], expected, rtol=1e-4)


def nearest_by_ray(boxes, pose, height, rays):
    """What ``cast_rays`` gives as t, [H, W], by looking at every box for every ray."""
    cos, sin = np.cos(pose.yaw), np.sin(pose.yaw)
    ahead, left = rays.directions.T.astype(float)
    world = np.stack([cos * ahead - sin * left, sin * ahead + cos * left], axis=1)
    slopes = rays.slopes.astype(float)[:, None]
    with np.errstate(divide="ignore", invalid="ignore"):
        nearest = np.where(slopes < 0, -height / slopes, np.inf) + np.zeros(len(ahead))
        for box in boxes:
            axes = np.array(
                [
                    [np.cos(box["yaw"]), np.sin(box["yaw"])],
                    [-np.sin(box["yaw"]), np.cos(box["yaw"])],
                ]
            )
            origin = axes @ (np.array([pose.x, pose.y]) - box["centre"])
            steps = world @ axes.T
            ends = np.stack([(side * box["half"] - origin) / steps for side in (-1, 1)])
            enter, leave = ends.min(axis=0).max(axis=1), ends.max(axis=0).min(axis=1)
            levels = np.stack([(box[edge] - height) / slopes for edge in ("bottom", "top")])
            into = np.maximum(enter, levels.min(axis=0))
            is_met = (into <= np.minimum(leave, levels.max(axis=0))) & (enter > 0.05)
            nearest = np.where(is_met & (enter < leave), np.minimum(nearest, into), nearest)
    return nearest


def test_hits_are_those_of_every_ray_against_every_box():
    """Boxes beside and partly behind the camera, hidden ones, trees, and a whole street."""
    rng = np.random.default_rng(2)
    boxes = np.zeros(60, BOX)
    boxes["centre"] = rng.uniform((-6, -25), (60, 25), (60, 2))
    boxes["half"] = rng.uniform(0.1, 4, (60, 2))
    boxes["yaw"] = rng.uniform(-3, 3, 60)
    boxes["bottom"] = np.where(rng.random(60) < 0.7, 0, rng.uniform(0.5, 3, 60))
    boxes["top"] = boxes["bottom"] + rng.uniform(0.3, 9, 60)
    from_centre = np.hypot(*boxes["centre"].T)
    boxes = boxes[from_centre > np.hypot(*boxes["half"].T) + 0.1]
    street = make_street(np.random.SeedSequence(8), 0, 3)
    rays = camera_rays(CAMERA)
    for scene, pose in (
        (boxes, Pose(0, 0, 0)),
        (boxes, Pose(0, 0, 0.6)),
        (boxes[:0], Pose(0, 0, 0)),
        (street.boxes_at(1), street.poses[1]),
    ):
        expected = nearest_by_ray(scene, pose, CAMERA_HEIGHT, rays)
        found = cast_rays(scene, pose, CAMERA_HEIGHT, rays).t
        # Rounding decides about a ray along an edge.
        agrees = np.isclose(found, expected, rtol=1e-4) | (found == expected)
        assert agrees.mean() > 0.9995


def test_texture_repeats_and_fades_with_the_size_of_a_pixel():
    texture = make_noise_texture(np.random.default_rng(0))
    u, v = np.random.default_rng(1).uniform(0, 256, (2, 4000)).astype(np.float32)
    one = np.ones_like(u)
    near = texture.sample(u, v, one, one)
    np.testing.assert_allclose(texture.sample(u - 256, v + 512, one, one), near, atol=1e-3)
    spreads = [texture.sample(u, v, one * size, one * size).std() for size in (1, 8, 64, 1e6)]
    assert spreads[0] > 0.15 and spreads == sorted(spreads, reverse=True) and spreads[3] < 0.06
    assert abs(near.mean() - 0.5) < 0.02


def test_right_image_warped_by_exact_depth_is_the_left_image(street):
    left = street.poses[1]
    arguments = (street, 1, left, 1, right_camera_pose(left))
    assert warp_error(*arguments) < 4
    assert warp_error(*arguments, depth_factor=1.2) > 2.5 * warp_error(*arguments)


@pytest.mark.parametrize("neighbour", [0, 2])
def test_neighbouring_frame_warped_by_exact_motion_is_the_frame(street, neighbour):
    arguments = (street, 1, street.poses[1], neighbour, street.poses[neighbour])
    assert warp_error(*arguments) < 5
    assert warp_error(*arguments, depth_factor=1.5) > 1.5 * warp_error(*arguments)


def test_scene_reaches_from_a_few_metres_to_the_sky():
    camera = kitti_camera(424, 128)
    for index in range(3):
        street = make_street(np.random.SeedSequence(index), index, 4)
        depth = render_depth(street, 2, street.poses[2], camera)
        assert 2 < depth.min() < 7
        assert np.isinf(depth).mean() > 0.01
        assert (depth < 80).mean() > 0.7
        image = render_image(street, 2, street.poses[2], camera)
        assert 60 < image.mean() < 170
        assert (image == 255).mean() < 0.05
        # The road just ahead is textured, not only marked.
        assert image[-20:, 150:270].std(axis=(0, 1)).mean() > 8


def test_sweep_projected_with_the_calibration_files_is_the_exact_depth():
    camera = kitti_camera(424, 128)
    street = make_street(np.random.SeedSequence(3), 0, 4)
    files = {name: read_calibration(text) for name, text in calibration_files(camera).items()}
    cam, velo = files["calib_cam_to_cam.txt"], files["calib_velo_to_cam.txt"]
    points = scan_street(street, 1)
    assert points.dtype == np.float32 and len(points) > 4000
    assert np.linalg.norm(points[:, :3], axis=1).max() <= 80.001
    assert (points[:, 3] >= 0).all() and (points[:, 3] <= 1).all()

    left = street.poses[1]
    for number, pose in ((2, left), (3, right_camera_pose(left))):
        in_camera_0 = velo["R"].reshape(3, 3) @ points[:, :3].T + velo["T"][:, None]
        rectified = cam["R_rect_00"].reshape(3, 3) @ in_camera_0
        homogeneous = np.vstack([rectified, np.ones(len(points))])
        x, y, z = cam[f"P_rect_0{number}"].reshape(3, 4) @ homogeneous
        u, v = x / z, y / z
        np.testing.assert_allclose(z, points[:, 0], rtol=1e-5)
        # Sub-pixel positions: compare with the range of depths of the surrounding pixels.
        width, height = camera.image_size
        inside = (u > 1) & (u < width - 2) & (v > 1) & (v < height - 2)
        assert inside.sum() > 3000
        depth = render_depth(street, 1, pose, camera)
        corners = [
            depth[(v[inside] + dv).astype(int), (u[inside] + du).astype(int)]
            for du in (0, 1)
            for dv in (0, 1)
        ]
        low, high = np.min(corners, axis=0), np.max(corners, axis=0)
        # The scanner sees past a pole what the right camera has behind it, never the reverse.
        hidden, before = z[inside] > 1.01 * high, z[inside] < 0.99 * low
        smooth = ~hidden & (high < 1.02 * low)
        assert hidden.mean() < 0.05 and before.mean() < 0.001
        assert smooth.mean() > 0.3 and before[smooth].mean() < 0.001


def test_stereo_calibration_has_the_baseline_and_kitti_proportions():
    calibration = read_calibration(
        calibration_files(kitti_camera(1242, 375))["calib_cam_to_cam.txt"]
    )
    left, right = calibration["P_rect_02"], calibration["P_rect_03"]
    assert right[3] - left[3] == pytest.approx(-left[0] * BASELINE, rel=1e-5)
    assert calibration["S_rect_02"].tolist() == [1242, 375]
    assert left[[0, 5]] == pytest.approx([721.5377] * 2, rel=3e-3)
    assert left[[2, 6]] == pytest.approx([609.5593, 172.854], rel=1e-3)


def test_calibration_files_have_the_keys_of_real_ones(tiny):
    real = SHARED / "kitti_mini" / "2011_09_26"
    if not real.exists():
        pytest.skip(f"{real} is not there")
    for file in real.glob("calib_*.txt"):
        expected = {k: v.shape for k, v in read_calibration(file.read_text()).items()}
        ours = read_calibration((tiny / DATE / file.name).read_text())
        assert {k: v.shape for k, v in ours.items()} == expected


def test_halt_leader_and_oncoming_cars():
    halting = make_street(np.random.SeedSequence(1), index=1, num_frames=30)
    steps = np.hypot(*np.diff([(p.x, p.y) for p in halting.poses], axis=0).T)
    assert (steps == 0).sum() >= 3
    assert 0.4 < steps.max() <= 0.7  # 4 to 7 m/s at 10 Hz

    led = make_street(np.random.SeedSequence(1), index=0, num_frames=10)
    distances = []
    for boxes, pose in zip(led.moving_boxes, led.poses):
        ahead = boxes["centre"] - (pose.x, pose.y)
        distances.append(np.hypot(*ahead.T))
    changes = np.ptp(distances, axis=0)
    assert changes[0] < 0.3  # the leader keeps its distance
    assert (changes[3:] > 3).all()  # the others come nearer or have passed
    assert len(changes) > 3


def test_layout_and_split_lists(tiny):
    drives = [f"{DATE}_drive_{number:04d}_sync" for number in (1, 2, 3, 4)]
    assert sorted(path.name for path in (tiny / DATE).iterdir() if path.is_dir()) == drives
    for drive in drives:
        for camera in ("image_02", "image_03"):
            files = sorted((tiny / DATE / drive / camera / "data").iterdir())
            assert [file.name for file in files] == [f"{frame:010d}.jpg" for frame in range(4)]
            assert Image.open(files[0]).size == (128, 64)
        for file in (tiny / DATE / drive / "velodyne_points" / "data").iterdir():
            assert np.fromfile(file, np.float32).reshape(-1, 4)[:, 0].min() > 0
    lists = {name: (tiny / "splits" / f"{name}_files.txt").read_text() for name in synthetic.SPLITS}
    first = f"{DATE}/{drives[0]}"
    assert lists["train"].splitlines()[:4] == [f"{first} {f} {s}" for f in (1, 2) for s in "lr"]
    assert len(lists["train"].splitlines()) == 8 and len(lists["val"].splitlines()) == 4
    assert lists["test"].splitlines() == [f"{DATE}/{drives[3]} {frame} l" for frame in (0, 3)]


def test_drives_are_different_worlds(tiny):
    first_frames = [
        (tiny / drive.folder / "image_02/data/0000000000.jpg").read_bytes()
        for drive in list_drives(TINY)
    ]
    assert len(set(first_frames)) == 4


def test_another_seed_gives_another_set_and_png_is_lossless(tmp_path):
    settings = StreetSettings(3, 33, 47, 1, 1, 1, 3, png=True)
    generate_streets(tmp_path, settings, num_workers=0)
    drive = list_drives(settings)[0]
    file = tmp_path / drive.folder / "image_03/data/0000000001.png"
    street = synthetic.load_street(settings, drive)
    pose = right_camera_pose(street.poses[1])
    np.testing.assert_array_equal(
        np.asarray(Image.open(file)), render_image(street, 1, pose, kitti_camera(33, 47))
    )
    other = synthetic.load_street(replace(settings, seed=4), drive)
    assert other.poses[1] != street.poses[1]


def test_complete_set_is_reused_and_a_lost_file_replaced(tiny, monkeypatch):
    before = contents(tiny)
    rendered = []
    original = synthetic._render_frame
    monkeypatch.setattr(synthetic, "_render_frame", lambda *a: rendered.append(a) or original(*a))
    generate_streets(tiny, TINY, num_workers=0)
    assert not rendered
    (tiny / list_drives(TINY)[1].folder / "image_03/data/0000000002.jpg").unlink()
    generate_streets(tiny, TINY, num_workers=0)
    assert [frame for *_, frame in rendered] == [2]
    (tiny / DATE / "calib_velo_to_cam.txt").unlink()
    generate_streets(tiny, TINY, num_workers=0)
    assert contents(tiny) == before


def test_interrupted_generation_is_resumed(tiny, tmp_path, monkeypatch):
    """Its files are those of a whole one, by any number of workers."""
    original, calls = synthetic._render_frame, []

    def interrupted(*arguments):
        calls.append(arguments)
        if len(calls) == 6:
            raise KeyboardInterrupt
        original(*arguments)

    monkeypatch.setattr(synthetic, "_render_frame", interrupted)
    with pytest.raises(KeyboardInterrupt):
        generate_streets(tmp_path / "set", TINY, num_workers=0)
    assert not (tmp_path / "set" / "streets.json").exists()
    with pytest.raises(InputError, match="other settings"):
        generate_streets(tmp_path / "set", replace(TINY, seed=9), num_workers=0)
    generate_streets(tmp_path / "set", TINY, num_workers=0)
    assert len(calls) == 6 + 16 - 5
    assert contents(tmp_path / "set") == contents(tiny)


def test_interrupt_stops_the_workers_early(tmp_path, monkeypatch):
    def interrupted(frames):
        frames[0].result()
        raise KeyboardInterrupt

    monkeypatch.setattr(synthetic, "as_completed", interrupted)
    settings = replace(TINY, train_drives=14)
    with pytest.raises(KeyboardInterrupt):
        generate_streets(tmp_path, settings, num_workers=2)
    assert 1 <= len(list(tmp_path.rglob("*.bin"))) < 40
    assert not list(tmp_path.rglob("*.tmp"))


def test_other_settings_and_foreign_files_are_refused(tiny, tmp_path):
    with pytest.raises(InputError, match="other settings"):
        generate_streets(tiny, replace(TINY, seed=1), num_workers=0)
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match="not generated streets"):
        generate_streets(tmp_path, TINY, num_workers=0)
    with pytest.raises(InputError, match="is a file"):
        generate_streets(tmp_path / "notes.txt", TINY, num_workers=0)
    assert contents(tmp_path) == {"notes.txt": b"mine"}


@pytest.mark.parametrize(
    "bad", [{"width": 31}, {"height": 8}, {"frames": 2}, {"seed": -1}, {"val_drives": 0}]
)
def test_settings_out_of_range_are_named(bad):
    with pytest.raises(InputError, match=f"--{next(iter(bad))} "):
        StreetSettings(**bad)


def test_command_line(tmp_path):
    sizes = ["--width", "32", "--height", "32", "--frames", "3"]
    counts = ["--train_drives", "1", "--val_drives", "1", "--test_drives", "1"]
    synthetic.main([str(tmp_path / "x"), *sizes, *counts, "--num_workers", "1", "--png"])
    manifest = json.loads((tmp_path / "x" / "streets.json").read_text())
    assert manifest["width"] == 32 and manifest["png"] is True and manifest["seed"] == 0
    with pytest.raises(InputError, match="--num_workers"):
        synthetic.main([str(tmp_path / "y"), "--num_workers", "-1"])
    assert not (tmp_path / "y").exists()
