"""Training on known depth through the command line, on small generated rooms."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

import demo
import evaluate_depth
import train
from datasets.rooms import generate_rooms
from options import TrainOptions, parse
from system.errors import EXIT_BAD_INPUT, run_command
from training.supervised import initial_model
from training.trainer import Trainer

ROOT = Path(__file__).resolve().parents[1]
# ResNet-18 and a decoder of one scale: a third of the time of MiDaS.
MONODEPTH = ["--network", "monodepth", "--scales", "0"]
MIXED = ["--max_steps", 4, "--trunk_learning_rate", 1e-4, "--mix_data_path"]
WEIGHTS = ["SHA256SUMS", "model.json", "pretrained.safetensors", "scratch.safetensors"]


@pytest.fixture(scope="module")
def rooms(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data") / "rooms"
    generate_rooms(folder, (8, 2, 2), width=80, height=64, seed=0)
    return folder


def arguments(rooms, place, *more, name="run"):
    words = ["--task", "supervised", "--dataset", "rgbd", "--data_path", rooms]
    words += ["--height", 64, "--width", 64, "--batch_size", 2, "--num_workers", 0, "--eager"]
    words += ["--log_dir", place / "logs", "--model_name", name, "--log_frequency", 1]
    words += ["--keep_checkpoints", 1, "--learning_rate", 1e-3, *more]
    return [str(word) for word in words]


def run(rooms, place, *more, name="run"):
    train.main(arguments(rooms, place, *more, name=name))
    return place / "logs" / name


def refusal(capsys, argv):
    with pytest.raises(SystemExit) as end:
        run_command(lambda: train.main(argv))
    assert end.value.code == EXIT_BAD_INPUT
    return capsys.readouterr().err


def logged(folder, phase="train"):
    lines = (folder / "metrics.jsonl").read_text().splitlines()
    return [row for row in map(json.loads, lines) if row["phase"] == phase]


def losses(folder, phase="train"):
    return [row["loss"] for row in logged(folder, phase)]


def same_bytes(a, b, names):
    return all((a / name).read_bytes() == (b / name).read_bytes() for name in names)


def call(program, monkeypatch, *words):
    monkeypatch.setattr(sys, "argv", [program.__name__, *(str(word) for word in words)])
    program.main()


@pytest.fixture(scope="module")
def trained(rooms, tmp_path_factory):
    """A run of MiDaS small of four steps, its trunk at a rate of its own, on mixed data."""
    return run(rooms, tmp_path_factory.mktemp("trained"), *MIXED, rooms / "test")


def test_it_leaves_weights_that_say_what_they_are_and_logs(trained):
    assert sorted(path.name for path in (trained / "best").iterdir()) == WEIGHTS
    more = ["optimiser.safetensors", "progress.json"]
    assert sorted(path.name for path in (trained / "last").iterdir()) == sorted(WEIGHTS + more)
    info = json.loads((trained / "last" / "model.json").read_text())
    said = {key: info[key] for key in ("kind", "supervision", "metric", "step", "width")}
    assert said == {
        **{"kind": "midas_small", "supervision": "relative_depth", "metric": False},
        **{"step": 4, "width": 64},
    }
    rows = logged(trained)
    assert len(rows) == 4
    assert all(np.isfinite(row["abs_rel"]) and row["known_share"] == 1 for row in rows)
    assert len(losses(trained, "val")) == 1
    assert list((trained / "train").glob("vdlrecords*"))


def test_its_weights_are_evaluated_and_predict(trained, rooms, tmp_path, monkeypatch):
    weights = ("--load_weights_folder", trained / "best", "--engine", "paddle")
    data = ("--task", "relative", "--data_path", rooms / "test", "--eval_out_dir", tmp_path)
    call(evaluate_depth, monkeypatch, *weights, *data)
    result = json.loads((tmp_path / "eval_test_relative.json").read_text())
    assert result["images"] == 2
    assert np.isfinite(result["metrics"]["abs_rel"])
    picture = rooms / "test" / "rgb" / "000000.jpg"
    call(demo, monkeypatch, *weights, "--image_path", picture, "--output", tmp_path)
    assert np.load(tmp_path / "000000_disp.npy").squeeze().shape == (64, 80)


def test_a_resumed_run_equals_one_without_a_stop(trained, rooms, tmp_path):
    run(rooms, tmp_path, *MIXED, rooms / "test", "--max_steps", 2)
    stopped = run(rooms, tmp_path, *MIXED, rooms / "test", "--resume")
    assert losses(trained) == losses(stopped)
    assert losses(trained, "val") == losses(stopped, "val")
    names = ("pretrained.safetensors", "scratch.safetensors", "optimiser.safetensors")
    assert same_bytes(trained / "last", stopped / "last", names)


def test_the_number_of_workers_changes_nothing(rooms, tmp_path):
    epochs = []
    for workers in (0, 2):
        argv = arguments(rooms, tmp_path, *MONODEPTH, "--num_workers", workers)
        loader = Trainer(parse(TrainOptions, argv)).train_loader
        epochs.append(list(loader.batches(epoch=1)))
        loader.close()
    assert len(epochs[0]) == len(epochs[1]) == 4
    for inline, loaded in zip(*epochs):
        assert inline.keys() == loaded.keys()
        assert all((inline[key] == loaded[key]).all() for key in inline)


def test_the_compiled_step_equals_the_eager_one(rooms, tmp_path):
    argv = arguments(rooms, tmp_path, *MONODEPTH, "--freeze", "trunk")
    eager = Trainer(parse(TrainOptions, argv))
    compiled = Trainer(parse(TrainOptions, [word for word in argv if word != "--eager"]))
    batch = next(iter(eager.train_loader.batches(epoch=0)))
    for phase in ("train", "eval"):
        values = []
        for trainer in (eager, compiled):
            getattr(trainer.model_with_loss, phase)()
            values.append(float(trainer.evaluate(batch, epoch=0).total))
        assert values[0] == pytest.approx(values[1], rel=1e-4)


@pytest.mark.parametrize("how", ["--eager", "--log_frequency"])
def test_a_frozen_trunk_keeps_its_bytes(trained, rooms, tmp_path, how):
    more = ("--load_weights_folder", trained / "last", "--freeze", "trunk", "--max_steps", 2)
    argv = arguments(rooms, tmp_path, *more)
    if how != "--eager":
        argv.remove("--eager")
    train.main(argv)
    folder = tmp_path / "logs" / "run"
    assert same_bytes(trained / "last", folder / "last", ["pretrained.safetensors"])
    assert not same_bytes(trained / "last", folder / "last", ["scratch.safetensors"])
    arrays = load_file(folder / "last" / "optimiser.safetensors")
    assert arrays
    assert not [name for name in arrays if name.startswith("pretrained")]


def test_metric_losses_make_a_model_that_says_metres(rooms, tmp_path, monkeypatch, capsys):
    more = (*MONODEPTH, "--loss", "berhu", "--max_depth", 10, "--num_epochs", 1)
    folder = run(rooms, tmp_path, *more)
    info = json.loads((folder / "best" / "model.json").read_text())
    assert (info["metric"], info["supervision"]) == (True, "metric_depth")
    picture = rooms / "test" / "rgb" / "000001.jpg"
    words = ("--image_path", picture, "--load_weights_folder", folder / "best")
    more = ("--output", tmp_path, "--pred_metric_depth", "--engine", "paddle")
    call(demo, monkeypatch, *words, *more)
    depth = np.load(tmp_path / "000001_depth.npy")
    assert 0.1 <= depth.min() <= depth.max() <= 10.001


def test_metres_are_learnt(tmp_path):
    generate_rooms(tmp_path / "rooms", (2, 1, 1), width=80, height=64, seed=0)
    more = (*MONODEPTH, "--loss", "silog", "--min_depth", 1, "--max_depth", 10)
    more = (*more, "--num_epochs", 12, "--save_frequency", 12, "--learning_rate", 3e-4)
    values = losses(run(tmp_path / "rooms", tmp_path, *more))  # of one batch, again and again
    assert np.mean(values[-2:]) < 0.8 * values[0]  # 0.52 to 0.58 with five seeds


def test_published_weights_are_a_start_by_their_name(trained, tmp_path, monkeypatch):
    shutil.copytree(trained / "best", tmp_path / "models" / "midas_v21_small")
    monkeypatch.setenv("MONODEPTH_HOME", str(tmp_path))
    words = "--task supervised --dataset rgbd --weights_init midas_v21_small --seed 5"
    model = initial_model(parse(TrainOptions, words.split()))
    for module in ("pretrained", "scratch"):
        saved = load_file(trained / "best" / f"{module}.safetensors")
        state = getattr(model, module).state_dict()
        assert all((state[name].numpy() == value).all() for name, value in saved.items())


def test_a_run_that_does_not_say_how_it_began_is_not_resumed(rooms, tmp_path, capsys):
    stopped = tmp_path / "logs" / "stopped"
    stopped.mkdir(parents=True)
    (stopped / "options.json").write_text("{")
    message = refusal(capsys, arguments(rooms, tmp_path, "--resume", name="stopped"))
    assert "start it without --resume" in message


def test_weights_of_another_network_are_refused(trained, rooms, tmp_path, capsys):
    argv = arguments(rooms, tmp_path, *MONODEPTH, "--load_weights_folder", trained / "last")
    message = refusal(capsys, argv)
    assert "holds a midas_small" in message
    assert "--network midas_small" in message


def test_data_that_does_not_fit_is_refused_before_training(rooms, tmp_path, capsys):
    message = refusal(capsys, arguments(tmp_path / "gone", tmp_path))
    assert "no such folder" in message
    message = refusal(capsys, arguments(rooms, tmp_path, "--batch_size", 9))
    assert "--batch_size 8" in message
    assert not (tmp_path / "logs").exists()
