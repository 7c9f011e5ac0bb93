"""Folders of pictures: what threads do beside the network is what would be done in turn."""

from __future__ import annotations

import itertools
import os
import shutil
import threading

import numpy as np
import pytest
from PIL import Image

import demo
from datasets.conventions import STEREO
from networks.architecture import Architecture
from prediction import files
from prediction.engines import Engine
from prediction.outputs import Place
from prediction.predictor import DepthPredictor, Predictor
from prediction.video import made_ahead
from weight_files.model_info import ModelInfo

INFO = ModelInfo(Architecture(source_ids=(STEREO,)), 32, 64, name="stub")


@pytest.fixture
def stub(monkeypatch):
    """A network that sees red, and notes the threads that ask it."""
    threads = set()

    def red(images):
        threads.add(threading.get_ident())
        return images[..., 0].astype(np.float32) / 255

    model = DepthPredictor(Predictor(Engine("stub", red), INFO))
    monkeypatch.setattr(DepthPredictor, "from_folder", lambda *_: model)
    return threads


def predict(inputs, output):
    words = ["--image_path", *map(str, inputs), "--load_weights_folder", "w"]
    with pytest.raises(files.InputError) as refusal:
        demo.main([*words, "--output", str(output)])
    return str(refusal.value).splitlines()


def test_together_as_one_after_the_other(tmp_path, stub):
    rng = np.random.default_rng(0)
    inputs = [tmp_path / f"{number:02d}.png" for number in range(12)]
    for path in inputs:
        Image.fromarray(rng.integers(0, 256, (20, 40, 3), dtype=np.uint8)).save(path)
    damaged = [inputs[3], inputs[7]]
    for path in damaged:
        path.write_bytes(path.read_bytes()[:60])
    (tmp_path / "cut.mp4").write_bytes(b"no video")
    inputs.insert(5, tmp_path / "cut.mp4")

    refused = predict(inputs, tmp_path / "together")
    assert len(stub) == 1
    named = [line.partition(":")[0] for line in refused]
    assert named == [str(path) for path in (damaged[0], tmp_path / "cut.mp4", damaged[1])]
    for path in inputs:
        if path not in (*damaged, tmp_path / "cut.mp4"):
            demo.main(
                [
                    *("--image_path", str(path), "--load_weights_folder", "w"),
                    *("--output", str(tmp_path / "alone")),
                ]
            )
    together, alone = (
        {path.name: path.read_bytes() for path in (tmp_path / name).iterdir()}
        for name in ("together", "alone")
    )
    assert together == alone
    assert len(alone) == 4 * 10


def test_an_engine_for_many_is_asked_by_several_threads(tmp_path, monkeypatch):
    together = threading.Barrier(2, timeout=60)

    def red(images):
        together.wait()  # for another one
        return images[..., 0].astype(np.float32) / 255

    engine = Engine("stub", None, many=Engine("stub", red, at_once=2))
    model = DepthPredictor(Predictor(engine, INFO))
    monkeypatch.setattr(DepthPredictor, "from_folder", lambda *_: model)
    for number in range(4):
        Image.new("RGB", (64, 32), (60 * number, 0, 0)).save(tmp_path / f"{number}.png")
    words = ["--image_path", str(tmp_path), "--load_weights_folder", "w"]
    demo.main([*words, "--output", str(tmp_path / "out")])
    seen = [np.load(tmp_path / "out" / f"{number}_disp.npy").mean() for number in range(4)]
    assert seen == sorted(set(seen))


@pytest.mark.parametrize(("pixels", "most"), [(10**6, 4), (800, 1), (1600, 2)])
def test_a_few_pictures_are_in_memory(tmp_path, monkeypatch, pixels, most):
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    monkeypatch.setattr(files, "MOST_PIXELS", pixels)
    source = tmp_path / "a.png"
    Image.new("RGB", (40, 20)).save(source)
    begun = itertools.count(1)
    places = [Place(source, tmp_path, str(number)) for number in range(20)]
    seen = []
    for taken, (place, get) in enumerate(files.ahead(places, lambda _: next(begun)), start=1):
        seen.append(place)
        # All that was asked for has begun at the latest now.
        assert get() <= taken - 1 + most
    assert seen == places


def test_interrupted_work_is_not_gone_on_with(tmp_path, stub, monkeypatch):
    source = tmp_path / "a.png"
    Image.new("RGB", (40, 20)).save(source)
    for number in range(30):
        shutil.copy(source, tmp_path / f"{number}.png")

    def stop(*_):
        raise KeyboardInterrupt

    asked = []
    work = files.predicted
    monkeypatch.setattr(files, "write_files", stop)
    monkeypatch.setattr(files, "predicted", lambda *given: (asked.append(1), work(*given))[1])
    words = ["--image_path", str(tmp_path), "--load_weights_folder", "w"]
    with pytest.raises(KeyboardInterrupt):
        demo.main([*words, "--output", str(tmp_path / "out")])
    assert len(asked) < 20


def test_what_is_made_ahead_comes_in_order_and_fails_in_its_place():
    made = []

    def items():
        for number in range(9):
            if number == 6:
                raise ValueError("six")
            made.append(number)
            yield number

    got = []
    with pytest.raises(ValueError, match="six"):
        for item in made_ahead(items()):
            got.append(item)
            assert len(made) <= len(got) + 2
    assert got == list(range(6))
    assert list(made_ahead([])) == []
