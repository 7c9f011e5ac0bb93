"""Files of every kind, sound, mutated and endless: a few of those that the benchmark tries."""

from __future__ import annotations

import os
import shutil
import time

import numpy as np
import pytest

from benchmarks import mutations
from benchmarks.mutated_kinds import TRACE, kinds, make_sound_files
from benchmarks.mutations import READ, REFUSED, Trial, table, try_one
from benchmarks.mutators import ANYWHERE, IN_JSON, IN_PICTURES, IN_TEXT, SPECIAL
from system.errors import DISK_REMEDIES, InputError

SLOW = "videos"  # the benchmark has time for them
HOSTILE = "hostile"
# Files that need not be there; what is no file in their place is passed over, and not waited for.
OPTIONAL = ("weights/sums", "calibration/odometry times", "json/depth")


@pytest.fixture(scope="module")
def sound(streets, tmp_path_factory):
    """A folder with a sound file of every kind."""
    folder = tmp_path_factory.mktemp("mutations") / "sound"
    shutil.copytree(streets, folder / "streets")
    make_sound_files(folder)
    return folder


@pytest.fixture(scope="module")
def place(sound, tmp_path_factory):
    """A copy of it to mutate, which a trial leaves as it was."""
    return shutil.copytree(sound, tmp_path_factory.mktemp("mutations") / "trial")


def test_sound_files_are_read(sound, place):
    found = [kind for kind in kinds(sound) if SLOW not in kind.name]
    assert len({kind.name.partition("/")[0] for kind in found}) == 6
    for kind in found:
        if HOSTILE not in kind.name:
            kind.read(place)


def test_a_mutated_file_is_read_or_refused(sound, place):
    found = [kind for kind in kinds(sound) if SLOW not in kind.name]
    trials = [try_one(place, sound, found, number, seed=1) for number in range(len(found))]
    wrong = [trial for trial in trials if trial.outcome not in (READ, REFUSED)]
    assert not wrong, "\n".join(f"{t.kind}, {t.mutation}: {t.outcome}\n{t.words}" for t in wrong)
    assert sum(trial.outcome == REFUSED for trial in trials) > len(trials) / 4


@pytest.mark.skipif(os.name != "posix", reason="other systems have no such places")
@pytest.mark.parametrize("special", ["pipe", "device", "link to itself", "huge"])
def test_what_never_ends_is_refused_by_every_reader_at_once(special, sound, place):
    wrong = []
    for kind in kinds(sound):
        path = place / kind.path
        path.unlink()
        SPECIAL[special](path)
        start = time.process_time()
        try:
            kind.read(place)
            if kind.name not in OPTIONAL:
                wrong.append(f"{kind.name}: is read")
        except (InputError, OSError) as error:
            if not isinstance(error, InputError) and error.errno not in DISK_REMEDIES:
                wrong.append(f"{kind.name}: {error}")
        if time.process_time() - start > mutations.MOST_SECONDS:
            wrong.append(f"{kind.name}: took too long")
        path.unlink()
        shutil.copyfile(sound / kind.path, path)
    assert not wrong


@pytest.mark.parametrize("name", ["hostile.pth", "hostile.pdparams"])
def test_a_file_that_asks_for_a_command_is_refused_and_leaves_no_trace(name, sound, place):
    kind = next(kind for kind in kinds(sound) if kind.name == f"weights/{name}")
    with pytest.raises(InputError, match="may run code"):
        kind.read(place)
    assert not (place / TRACE).exists()


def test_mutations_follow_from_the_seed_and_change_the_file():
    content = b'{"image_size": [200, 120], "fx": 150.5}\n' * 20
    for mutator in {*ANYWHERE, *IN_TEXT, *IN_JSON, *IN_PICTURES}:
        made = [mutator(content, np.random.default_rng((7, n))) for n in range(20)]
        assert made == [mutator(content, np.random.default_rng((7, n))) for n in range(20)]
        assert sum(each != content for each in made) > 10


def test_what_goes_wrong_is_counted(sound, place, monkeypatch):
    class Wrong:
        name, path, mutators = "group/wrong", "json/camera.json", IN_JSON

    def outcome(read):
        monkeypatch.setattr(Wrong, "read", staticmethod(read), raising=False)
        return try_one(place, sound, [Wrong], 0, 0).outcome

    def fail(_):
        raise KeyError("a bug")

    assert outcome(fail) == "traceback"
    assert outcome(lambda folder: (folder / TRACE).touch()) == "executed"
    monkeypatch.setattr(mutations, "MOST_SECONDS", 0.01)
    assert outcome(lambda _: time.sleep(0.05)) == "slow"
    assert (place / Wrong.path).read_bytes() == (sound / Wrong.path).read_bytes()
    trials = [Trial(n, "a/b", "cut", each, "", 1.0, 1) for n, each in enumerate([READ, "slow"])]
    assert table(trials).splitlines()[-2].split()[:4] == ["all", "2", "1", "0"]
