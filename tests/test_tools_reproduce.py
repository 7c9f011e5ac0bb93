"""Rows of the published table: the recipes are sound, and the way from data to a row works."""

from __future__ import annotations

import json
import runpy
import shlex
import shutil

import pytest

from datasets.lidar import truth_paths
from datasets.splits import load_split
from options import EvaluateOptions, TrainOptions, parse
from system.errors import InputError
from tools import reproduce
from tools.reproduce import load_recipe, load_recipes
from tools.stages import run_stage
from weight_files.published import MODELS

TINY = {
    "common": "",
    "rows": {
        "tiny": {
            "title": "two stages of one step",
            "scaling": "stereo",
            "generate": "--width 160 --height 64 --train_drives 1 --val_drives 1 --test_drives 1 "
            "--frames 4",
            "train": [
                "--frame_ids 0 --use_stereo --height 64 --width 64 --batch_size 2 --max_steps 1 "
                "--weights_init scratch "
                "--eager",
                "--frame_ids 0 --use_stereo --height 64 --width 96 --batch_size 2 --max_steps 1 "
                "--eager",
            ],
            "range": {"abs_rel": [0.0, 5.0]},
        }
    },
}


@pytest.mark.parametrize("name", load_recipes())
def test_every_recipe_is_understood(name):
    recipe = load_recipe(name)
    for stage in recipe.train:
        options = parse(TrainOptions, stage)
    parse(EvaluateOptions, ["--load_weights_folder", "w", f"--eval_{recipe.scaling}"])
    assert (recipe.scaling == "stereo") == options.use_stereo
    assert not (recipe.paper and recipe.range)
    known = options.encoder is None or options.encoder.startswith("resnet")
    assert known == bool(recipe.paper or recipe.range)  # nobody published the others
    assert recipe.published in (None, *MODELS)


def test_kitti_rows_keep_the_published_constants():
    recipe = load_recipe("ms_1024x320")
    first, second = (parse(TrainOptions, stage) for stage in recipe.train)
    assert (first.split, first.intrinsics, first.weights_init) == (
        "eigen_zhou",
        "published",
        "pretrained",
    )
    assert (first.batch_size, first.num_epochs, first.scheduler_step_size) == (12, 20, 15)
    assert (second.height, second.width, second.batch_size, second.num_epochs) == (320, 1024, 4, 2)
    assert (second.learning_rate, second.intrinsics) == (5e-5, "published")


def test_rows_are_listed_and_unknown_ones_refused(capsys):
    assert reproduce.main(["--list"]) == 0
    listed = [line.split()[0] for line in capsys.readouterr().out.splitlines()]
    assert listed == list(load_recipes())
    with pytest.raises(InputError, match=r"--row ms: no such row; there are m_640x192"):
        reproduce.main(["--row", "ms"])
    with pytest.raises(InputError, match="--data_path: is needed"):
        reproduce.main(["--row", "ms_640x192"])
    with pytest.raises(InputError, match="--published"):
        reproduce.main(["--row", "streets", "--published"])


def test_the_difference_to_the_paper_is_shown():
    recipe = load_recipe("ms_640x192")
    lines = reproduce.comparison(recipe, {**recipe.paper, "abs_rel": 0.109})
    assert lines[2].split() == ["abs_rel", "0.109", "0.106", "+0.003"]
    assert lines[-1].split() == ["a3", "0.979", "0.979", "+0.000"]


def test_what_nobody_published_is_said_to_be_so(capsys):
    reproduce.list_rows()
    listed = capsys.readouterr().out.splitlines()
    assert sum("not published" in line for line in listed) == 6
    lines = reproduce.comparison(load_recipe("m_convnext_tiny"), {"abs_rel": 0.109})
    assert lines[2].split() == ["abs_rel", "0.109", "not", "published"]


def run_here(arguments):
    """A stage as :func:`run_stage` runs it, without a process of its own."""
    program, *words = map(str, arguments)
    run = runpy.run_path
    if program == "-m":
        run, (program, *words) = runpy.run_module, words
    with pytest.MonkeyPatch.context() as patch, pytest.raises(SystemExit) as end:
        patch.setattr("sys.argv", [program, *words])
        run(program, run_name="__main__")
    assert end.value.code == 0


def test_from_nothing_to_a_row_and_again(tmp_path, monkeypatch, capsys):
    path = tmp_path / "recipes.json"
    path.write_text(json.dumps(TINY))
    monkeypatch.setattr(reproduce, "RECIPES", path)
    out = tmp_path / "out"
    line = shlex.split(f"--row tiny --out {out} --seed 3 --num_workers 0")
    assert reproduce.main(line) == 0
    result = json.loads((out / "tiny_seed3" / "result.json").read_text())
    assert 0 < result["metrics"]["abs_rel"] < 5
    info = json.loads((out / "tiny_seed3" / "stage_2" / "last" / "model.json").read_text())
    assert (info["width"], info["step"]) == (96, 1)
    # Again: everything is there, and the same row comes out; a range that is missed is told.
    monkeypatch.setattr(reproduce, "run_stage", run_here)
    path.write_text(json.dumps(TINY).replace("5.0", "0.001"))
    assert reproduce.main(line) == reproduce.OUTSIDE_RANGE
    assert "OUTSIDE" in capsys.readouterr().out
    again = json.loads((out / "tiny_seed3" / "result.json").read_text())
    assert again["metrics"] == result["metrics"]


def test_a_failed_stage_ends_with_its_exit_code():
    with pytest.raises(SystemExit) as end:
        run_stage(["-c", "raise SystemExit(7)"])
    assert end.value.code == 7
    assert run_stage(["-c", "pass"]) > 0


def test_ground_truth_of_another_split_or_other_sweeps_is_another_file(streets, tmp_path):
    data = shutil.copytree(streets, tmp_path / "data")
    split, places = data / "splits", []
    for change in (
        lambda: None,
        lambda: shutil.copytree(data, tmp_path / "b" / "data"),
        lambda: truth_paths(data, load_split(str(split), "test"), False)[0].write_bytes(b""),
        lambda: (split / "test_files.txt").write_text(
            (split / "test_files.txt").read_text().partition("\n")[0]
        ),
    ):
        change()
        places.append(reproduce.truth_file(tmp_path, data, str(split)))
    places.append(reproduce.truth_file(tmp_path, tmp_path / "b" / "data", str(split)))
    same = places.pop(1)
    assert same == places[0]
    assert len(set(places)) == len(places)


def test_stages_of_another_recipe_or_data_are_not_gone_on_with(tmp_path, monkeypatch):
    ran = []
    monkeypatch.setattr(reproduce, "run_stage", ran.append)
    options = parse(reproduce.ReproduceOptions, ["--row", "streets", "--out", str(tmp_path / "o")])
    recipe = load_recipe("streets")
    for _ in range(2):
        reproduce.train(recipe, tmp_path / "data", "split", options)
    count = len(ran)
    with pytest.raises(InputError, match="other options, or on other data"):
        reproduce.train(recipe, tmp_path / "other", "split", options)
    with pytest.raises(InputError, match="choose another --out"):
        reproduce.train(load_recipe("streets_hints"), tmp_path / "data", "split", options)
    assert len(ran) == count
