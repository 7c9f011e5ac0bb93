"""What is said of a weights folder that is not there."""

from __future__ import annotations

from pathlib import Path

import pytest

from system.errors import InputError
from weight_files.folder import read_info


@pytest.fixture
def here(tmp_path, monkeypatch):
    """The current folder, and a function that makes weights folders in it."""
    monkeypatch.chdir(tmp_path)

    def make(*names, file="model.json"):
        for name in names:
            Path(name).mkdir(parents=True)
            (Path(name) / file).write_text("{}")

    return make


def said(folder):
    with pytest.raises(InputError) as error:
        read_info(Path(folder))
    return str(error.value)


def test_last_is_named_beside_a_missing_best(here):
    here("logs/drive/last", "logs/other/best")
    expected = "logs/drive/best: no such weights folder; there is logs/drive/last; best is written"
    assert said("logs/drive/best").startswith(str(Path(expected)))


def test_best_is_named_beside_a_missing_last(here):
    here("logs/drive/best")
    assert said("logs/drive/last").endswith(f"there is {Path('logs/drive/best')}")


@pytest.mark.parametrize("asked", ["weights/best_640x192", "weights", "nowhere/at/all"])
def test_those_in_the_usual_places_are_listed(here, asked):
    here("logs/drive/best", "runs/quickstart/model/last")
    here("weights/published", file="encoder.pth")
    text = said(asked)
    assert str(Path("logs/drive/best")) in text
    assert str(Path("runs/quickstart/model/last")) in text
    assert str(Path("weights/published")) in text


def test_of_a_file_the_way_to_its_folder_is_said(here):
    here("weights/published", file="encoder.pth")
    here("downloads", file="depth_anything_v2_vitb.pth")
    folder = Path("weights/published")
    assert said(folder / "encoder.pth").endswith(f"name the folder that this file is in, {folder}")
    official = Path("downloads/depth_anything_v2_vitb.pth")
    assert f"tools.convert_weights {official} FOLDER" in said(official)


def test_the_folder_of_a_run_is_no_weights_folder_and_names_its_own(here):
    here("mine/run/best", "mine/run/last")
    text = said("mine/run")
    first = Path("mine/run/best")
    assert text == f"mine/run: holds no weights; there are {first}, {first.with_name('last')}"


def test_of_many_the_first_are_named(here):
    here(*(f"logs/run{n}/best" for n in range(9)))
    assert said("gone").endswith(f"{Path('logs/run5/best')} and 3 more")


def test_without_any_there_is_a_way_to_some(here):
    assert said("gone").endswith(
        "train one with train.py, or name a published model with --model_name"
    )
