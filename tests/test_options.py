"""Options: what a user may give, what is refused, and how a refusal reads."""

import dataclasses
import json
import subprocess
import sys
from pathlib import Path

import pytest

from evaluation.depth_layouts import DEPTH_LAYOUTS
from evaluation.metrics import ALIGNMENTS
from options import LAYOUTS as LAYOUT_NAMES
from options import (
    DemoOptions,
    EvaluateOptions,
    ExportOptions,
    SelfSupervisedOptions,
    SupervisedOptions,
    TrainOptions,
    from_json,
    parse,
    to_json,
)
from system.command_line import by_task, options_of
from system.errors import InputError
from tools.evaluate_pose import EvaluatePoseOptions

PUBLISHED_DEFAULTS = {
    "data_path": Path("kitti_data"),
    "split": "eigen_zhou",
    "height": 192,
    "width": 640,
    "num_layers": 18,
    "frame_ids": (0, -1, 1),
    "scales": (0, 1, 2, 3),
    "min_depth": 0.1,
    "max_depth": 100.0,
    "disparity_smoothness": 1e-3,
    "batch_size": 12,
    "learning_rate": 1e-4,
    "num_epochs": 20,
    "scheduler": "step",
    "scheduler_step_size": 15,
    "warmup_steps": 0,
    "ema_decay": 0.0,
    "no_color_jitter": False,
    "log_frequency": None,
    "weights_init": "pretrained",
}
COMMANDS = {
    TrainOptions: [],
    EvaluateOptions: ["--load_weights_folder", "weights"],
    ExportOptions: [],
    DemoOptions: ["--image_path", "street.jpg", "--load_weights_folder", "weights"],
}


def read(cls, line):
    return parse(cls, line.split())


def refusal(cls, line):
    with pytest.raises(InputError) as caught:
        read(cls, line)
    return str(caught.value)


@pytest.mark.parametrize("name", PUBLISHED_DEFAULTS)
def test_training_defaults_are_the_published_ones(name):
    assert getattr(parse(TrainOptions, []), name) == PUBLISHED_DEFAULTS[name]


def test_values_arrive_with_their_type():
    options = read(
        TrainOptions,
        "--data_path data --height 96 --learning_rate 5e-5 --frame_ids 0 -2 1 --scales 0 2 "
        "--png --max_steps 7 --device gpu:1 --models_to_load encoder depth "
        "--load_weights_folder w",
    )
    assert options.data_path == Path("data")
    assert (options.height, options.learning_rate) == (96, 5e-5)
    assert (options.frame_ids, options.scales) == ((0, -2, 1), (0, 2))
    assert options.png is True
    assert (options.max_steps, options.device) == (7, "gpu:1")
    assert options.models_to_load == ("encoder", "depth")


@pytest.mark.parametrize(
    ("line", "source_ids", "use_pose_net"),
    [
        ("", (-1, 1), True),
        ("--use_stereo", (-1, 1, "s"), True),
        ("--frame_ids 0 --use_stereo", ("s",), False),
        ("--frame_ids 0 -2 -1 1 --pose_model_input all", (-2, -1, 1), True),
    ],
)
def test_sources_follow_from_frames_and_stereo(line, source_ids, use_pose_net):
    options = read(TrainOptions, line)
    assert options.source_ids == source_ids
    assert options.use_pose_net is use_pose_net


@pytest.mark.parametrize(
    ("line", "given", "remedy"),
    [
        ("--height 190", "--height 190: must be a multiple of 32", "try 192"),
        ("--width 650", "--width 650: must be a multiple of 32", "try 640"),
        ("--height 0", "--height 0: must be at least 64", "try 192"),
        ("--height tall", "--height tall: must be a whole number", "try 192"),
        ("--height 192.5", "--height 192.5: must be a whole number", "try 192"),
        ("--batch_size 0", "--batch_size 0: must be at least 1", "try 12"),
        ("--num_workers -1", "--num_workers -1: must be at least 0", "try 4"),
        ("--learning_rate 0", "--learning_rate 0.0: must be greater than 0", "try 0.0001"),
        ("--learning_rate nan", "--learning_rate nan: must be a finite", "try 0.0001"),
        ("--max_depth inf", "--max_depth inf: must be a finite number", "try 100.0"),
        ("--initial_disparity 1", "--initial_disparity 1.0: must be less than 1", "such as 0.05"),
        ("--num_epochs 0", "--num_epochs 0: must be at least 1", "try 20"),
        ("--scheduler_step_size 0", "--scheduler_step_size 0: must be at least 1", "try 15"),
        ("--scheduler linear", "--scheduler linear: must be step, cosine or one_cycle", "try step"),
        ("--warmup_steps -1", "--warmup_steps -1: must be at least 0", "leave it out"),
        ("--ema_decay 1", "--ema_decay 1.0: must be less than 1", "try 0.999"),
        ("--max_steps 0", "--max_steps 0: must be at least 1", "leave it out"),
        ("--num_layers 20", "--num_layers 20: must be 18, 34, 50, 101 or 152", "try 18"),
        ("--dataset kiti", "--dataset kiti: must be kitti", "try kitti"),
        ("--device cuda", "--device cuda: must be cpu, gpu", "leave it out"),
        ("--model_name runs/a", "--model_name runs/a: must be a plain folder name", "try mdp"),
        ("--model_name ..", "--model_name ..: must be a plain folder name", "try mdp"),
        ("--model_name a\\b", "--model_name a\\b: must be a plain folder name", "try mdp"),
        ("--scales 0 4", "--scales 0 4: each must be 0, 1, 2 or 3", "try 0 1 2 3"),
        ("--scales 0 0", "--scales 0 0: must not name one twice", "try 0 1 2 3"),
        ("--frame_ids 0 1 1", "--frame_ids 0 1 1: must not name one twice", "0 -1 1"),
        ("--frame_ids 0 -1 s", "--frame_ids 0 -1 s: each must be a whole", "--use_stereo"),
        ("--models_to_load disp", "--models_to_load disp: each must be encoder", "try encoder"),
    ],
)
def test_a_value_out_of_range_is_refused_by_name_with_a_remedy(line, given, remedy):
    message = refusal(TrainOptions, line)
    assert given in message
    assert remedy in message.split(";", 1)[1]


@pytest.mark.parametrize(
    ("line", "given", "remedy"),
    [
        ("--frame_ids -1 0 1", "--frame_ids -1 0 1: must start with 0", "0 -1 1"),
        ("--frame_ids 0", "--frame_ids 0: leaves nothing", "--use_stereo"),
        (
            "--frame_ids 0 --use_stereo --pose_model_type posecnn",
            "--pose_model_type posecnn",
            "leave it out",
        ),
        (
            "--frame_ids 0 --use_stereo --pose_model_input all",
            "--pose_model_input all",
            "leave it out",
        ),
        ("--min_depth 5 --max_depth 5", "--min_depth 5.0", "raise the other"),
        ("--scales 1 2", "--scales 1 2: must include 0", "try 0 1 2"),
        ("--predictive_mask", "--predictive_mask", "--disable_automasking"),
        ("--depth_hints", "--depth_hints", "--use_stereo"),
        ("--depth_hints --use_stereo --v1_multiscale", "--depth_hints", "out --v1_multiscale"),
        ("--use_stereo --depth_hint_weight 2", "--depth_hint_weight 2.0", "add --depth_hints"),
        ("--split odom", "--split odom", "--dataset kitti_odom"),
        (
            "--scheduler cosine --scheduler_step_size 5",
            "--scheduler_step_size 5: is for --scheduler step",
            "leave it out",
        ),
        (
            "--tf32 --precision bf16",
            "--tf32: is of fp32, and there is --precision bf16",
            "drop one",
        ),
        ("--recompute", "--recompute: does not go into a compiled step", "add --eager"),
        ("--resume --load_weights_folder w", "--load_weights_folder w", "drop one"),
        ("--models_to_load depth", "--models_to_load depth", "--load_weights_folder FOLDER"),
        (
            "--weights_init resnet18.pth --load_weights_folder w",
            "--weights_init resnet18.pth",
            "--models_to_load",
        ),
        (
            "--initial_disparity 0.1 --load_weights_folder w",
            "--initial_disparity 0.1",
            "leave it out",
        ),
    ],
)
def test_contradictions_in_training_are_refused(line, given, remedy):
    message = refusal(TrainOptions, line)
    assert given in message
    assert remedy in message.split(";", 1)[1]


@pytest.mark.parametrize(
    "line",
    [
        "--predictive_mask --disable_automasking --use_stereo",
        "--initial_disparity 0.1 --load_weights_folder w --models_to_load encoder",
        "--frame_ids 0 -1 --pose_model_input all",
        "--frame_ids 0 --use_stereo --depth_hints --depth_hint_weight 0.5",
        "--pose_model_type shared --num_layers 50 --v1_multiscale --no_ssim",
        "--scales 0",
        "--scheduler one_cycle --warmup_steps 100 --ema_decay 0.999 --no_color_jitter",
        "--scheduler_step_size 5 --warmup_steps 100",
        "--height 64 --width 64",
        "--model_name mono+stereo_640x192.v2",
        "--resume",
        "--resume --weights_init pretrained",
        "--weights_init pretrained --load_weights_folder w --models_to_load depth",
        "--weights_init pretrained --load_weights_folder w",
        "--weights_init scratch --load_weights_folder w",
        "--num_workers 0 --eager --seed 4294967295",
    ],
)
def test_sound_combinations_are_accepted(line):
    read(TrainOptions, line)


@pytest.mark.parametrize(
    ("line", "given", "remedy"),
    [
        ("", "--load_weights_folder", "--ext_disp_to_eval FILE.npy"),
        ("--load_weights_folder w --eval_mono --eval_stereo", "--eval_mono", "drop one"),
        ("--ext_disp_to_eval d.npy", "--ext_disp_to_eval d.npy", "--eval_stereo"),
        ("--ext_disp_to_eval d.npy --eval_mono --no_eval", "--no_eval", "drop one"),
        (
            "--load_weights_folder w --model_name mono_640x192",
            "--model_name mono_640x192",
            "drop one",
        ),
        ("--model_name mono", "--model_name mono: must be mono_640x192, ", "leave it out"),
        (
            "--ext_disp_to_eval d.npy --eval_mono --eval_eigen_to_benchmark",
            "--eval_eigen_to_benchmark",
            "add --eval_split eigen_benchmark",
        ),
        ("--load_weights_folder w --layout nyu", "--layout nyu: is for --task relative", "leave"),
        ("--load_weights_folder w --alignment none", "--alignment none", "leave it out"),
        ("--load_weights_folder w --task relative --eval_mono", "--eval_mono: is for", "leave it"),
        ("--load_weights_folder w --task relative --layout sun", "--layout sun: must be", "leave"),
    ],
)
def test_contradictions_in_evaluation_are_refused(line, given, remedy):
    message = refusal(EvaluateOptions, line)
    assert given in message
    assert remedy in message.split(";", 1)[1]


def test_published_evaluation_command_is_accepted():
    options = read(EvaluateOptions, "--load_weights_folder w --eval_stereo --post_process")
    assert options.eval_stereo
    assert options.post_process
    assert (options.eval_split, options.batch_size) == ("eigen", 16)
    assert options.pred_depth_scale_factor == 1.0


def test_layouts_and_alignments_offered_are_those_there_are():
    assert set(LAYOUT_NAMES) == DEPTH_LAYOUTS.keys()
    for name in ALIGNMENTS:
        read(EvaluateOptions, f"--load_weights_folder w --task relative --alignment {name}")


@pytest.mark.parametrize("cls", COMMANDS)
def test_json_round_trip(cls):
    options = parse(cls, COMMANDS[cls])
    assert from_json(cls, to_json(options)) == options


def test_json_round_trip_of_changed_options():
    options = SelfSupervisedOptions(
        data_path=Path("a") / "b", frame_ids=(0, 1), png=True, initial_disparity=0.05, max_steps=3
    )
    again = from_json(TrainOptions, to_json(options))
    assert again == options
    assert again.frame_ids == (0, 1)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("{", "not JSON"),
        ("[1]", "not a JSON object"),
        ('{"heigth": 192}', "heigth"),
        ('{"height": 190}', "--height 190"),
        ('{"height": "192"}', "--height 192: must be a whole number"),
        ('{"height": true}', "--height: must be a whole number"),
        ('{"use_stereo": 1}', "--use_stereo 1: must be True or False"),
        ('{"learning_rate": NaN}', "--learning_rate nan"),
        ('{"scales": []}', "--scales: must name at least one"),
    ],
)
def test_saved_options_are_checked(text, named):
    with pytest.raises(InputError, match=named):
        from_json(TrainOptions, text)


def test_options_made_in_python_are_checked_and_frozen():
    with pytest.raises(InputError, match="--height 190"):
        SelfSupervisedOptions(height=190)
    with pytest.raises(InputError, match="--frame_ids 0 1: must be a tuple"):
        SelfSupervisedOptions(frame_ids=[0, 1])
    with pytest.raises(InputError, match="--image_path"):
        DemoOptions(load_weights_folder=Path("w"))
    assert SelfSupervisedOptions(min_depth=1).min_depth == 1
    with pytest.raises(dataclasses.FrozenInstanceError):
        SelfSupervisedOptions().height = 64
    with pytest.raises(InputError, match="--batch_size 0"):
        dataclasses.replace(SelfSupervisedOptions(), batch_size=0)


@pytest.mark.parametrize(
    ("cls", "line", "named"),
    [
        (TrainOptions, "--no_such_option", "--no_such_option"),
        (TrainOptions, "--hight 192", "--hight"),
        (TrainOptions, "--s 0", "--scales"),
        (TrainOptions, "--height", "--height"),
        (DemoOptions, "--load_weights_folder w", "--image_path"),
    ],
)
def test_a_line_that_cannot_be_read_exits_with_code_2(cls, line, named, capsys):
    with pytest.raises(SystemExit) as caught:
        read(cls, line)
    assert caught.value.code == 2
    assert named in capsys.readouterr().err.splitlines()[-1]


@pytest.mark.parametrize("cls", COMMANDS)
def test_help_names_every_option(cls, capsys):
    with pytest.raises(SystemExit) as caught:
        parse(cls, ["--help"])
    assert caught.value.code == 0
    shown = capsys.readouterr().out
    for each in by_task(cls).values():
        for name, option in options_of(each).items():
            assert f"--{name}" in shown
            assert option.facts["help"], name


def test_help_says_which_options_and_defaults_are_of_one_task(capsys):
    with pytest.raises(SystemExit):
        parse(TrainOptions, ["--help"])
    shown = " ".join(capsys.readouterr().out.split())
    assert "Loss (--task self_supervised):" in shown
    assert "Known depth (--task supervised):" in shown
    assert "(default: 192, or 256 with --task supervised; at least 64; a multiple of 32)" in shown
    assert "seed INT decides every random draw (default: 0;" in shown


# The commands, and what each of them refuses.
REFUSED = {
    "train": "--height 190",
    "evaluate_depth": "--batch_size 0",
    "export_gt_depth": "--num_workers -1",
    "demo": "--image_path street.jpg --load_weights_folder w --fov 0",
    "tools.align": "--image_path street.jpg --load_weights_folder w",
    "tools.convert_weights": "src dst --to torch --height 30",
    "tools.evaluate_pose": "--eval_split odom_22",
    "evaluate_pose": "--eval_split odom_22",
    "test_simple": "--image_path street.jpg --load_weights_folder w --fov 0",
    "tools.export_model": "--format onnx --precision fp8",
    "tools.quickstart": "--help",  # it has --seed alone
    "tools.quickstart_midas": "--help",
    "tools.reproduce": "",
    "web": "--port 0",
}
LIGHT = """
import contextlib, importlib, io, sys
from system.errors import InputError
main = importlib.import_module(sys.argv[1]).main
for argv in ["--help"], sys.argv[2:]:
    sys.argv[1:] = argv
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            main()
    except (InputError, SystemExit) as error:
        print(type(error).__name__, error)
print([name for name in ("paddle", "cv2", "numpy") if name in sys.modules])
"""


@pytest.mark.parametrize("module", REFUSED)
def test_help_and_refusals_load_no_framework(module):
    name = "web.__main__" if module == "web" else module
    done = subprocess.run(
        [sys.executable, "-c", LIGHT, name, *REFUSED[module].split()],
        cwd=Path(__file__).parents[1],
        capture_output=True,
        text=True,
        check=True,
    )
    asked, refused, loaded = done.stdout.splitlines()
    assert asked == "SystemExit 0"
    assert refused.startswith("InputError --") or REFUSED[module] == "--help"
    assert loaded == "[]"


def test_json_is_plain():
    assert json.loads(to_json(SelfSupervisedOptions()))["data_path"] == "kitti_data"


def test_the_task_chooses_the_class():
    assert type(parse(TrainOptions, [])) is SelfSupervisedOptions
    supervised = read(TrainOptions, "--task supervised --dataset rgbd")
    assert type(supervised) is SupervisedOptions
    assert type(from_json(TrainOptions, to_json(supervised))) is SupervisedOptions
    assert "frame_ids" not in json.loads(to_json(supervised))
    assert "--task both: must be self_supervised or" in refusal(TrainOptions, "--task both")


@pytest.mark.parametrize(
    ("cls", "other"),
    [(SelfSupervisedOptions, SupervisedOptions), (SupervisedOptions, SelfSupervisedOptions)],
)
def test_saved_options_may_hold_those_of_the_other_task_with_their_defaults(cls, other):
    options = cls(seed=3, dataset="rgbd" if cls is SupervisedOptions else "kitti")
    defaults = {name: option.default for name, option in options_of(other).items()}
    both = {**json.loads(json.dumps(defaults, default=str)), **json.loads(to_json(options))}
    assert from_json(TrainOptions, json.dumps(both)) == options
    foreign = {"trim": 0.3} if cls is SelfSupervisedOptions else {"frame_ids": [0, 1]}
    with pytest.raises(InputError, match=f"is for --task {other.task}; leave it out"):
        from_json(TrainOptions, json.dumps({**both, **foreign}))


@pytest.mark.parametrize("text", ["[" * 100_000, '{"height": ' + "1" * 5000 + "}"])
def test_saved_options_that_take_for_ever_to_read_are_refused(text):
    with pytest.raises(InputError, match="saved options: are not JSON"):
        from_json(TrainOptions, text)


def test_a_list_that_is_given_twice_holds_the_values_of_both():
    words = ["--frame_ids", "0", "--frame_ids", "-1", "1", "--model_name", "m"]
    assert parse(TrainOptions, words).frame_ids == (0, -1, 1)
    with pytest.raises(InputError, match="must not name one twice"):
        parse(TrainOptions, [*words, "--frame_ids", "1"])


@pytest.fixture
def home(tmp_path, monkeypatch):
    for name in ("HOME", "USERPROFILE"):
        monkeypatch.setenv(name, str(tmp_path))
    return tmp_path


def test_homes_are_known_in_every_option_that_may_be_a_path(home):
    words = ["--data_path=~/my data", "--split", "~/lists", "--weights_init=~/resnet.pth"]
    options = parse(TrainOptions, [*words, "--cache_dir", "~"])
    assert options.data_path == home / "my data"
    assert options.split == str(home / "lists")
    assert options.weights_init == str(home / "resnet.pth")
    assert options.cache_dir == home
    demo = parse(
        DemoOptions, ["--load_weights_folder=~/w", "--image_path", "~/a", "~/b c/*.jpg", "d"]
    )
    assert demo.load_weights_folder == home / "w"
    assert demo.image_path == (home / "a", home / "b c" / "*.jpg", Path("d"))


@pytest.mark.parametrize("text", ["./~/a", "a/~", "a~", "~nobody.has.this.name/a", "~$x.jpg"])
def test_other_waves_belong_to_the_name(text, home):
    demo = parse(DemoOptions, ["--load_weights_folder", "w", "--image_path", text])
    assert demo.image_path == (Path(text),)


# Lines of the published code's users, and what they come to.
PUBLISHED_LINES = [
    ("train", "--model_name mono_model", {"weights_init": "pretrained", "use_stereo": False}),
    (
        "train",
        "--model_name stereo_model --frame_ids 0 --use_stereo --split eigen_full",
        {"source_ids": ("s",), "split": "eigen_full"},
    ),
    ("train", "--model_name mono+stereo_model --frame_ids 0 -1 1 --use_stereo", {}),
    (
        "train",
        "--model_name finetuned_mono --load_weights_folder ~/tmp/mono_model/models/weights_19",
        {"load_weights_folder": Path.home() / "tmp/mono_model/models/weights_19"},
    ),
    (
        "train",
        "--model_name f --load_weights_folder w --models_to_load encoder depth --png",
        {"models_to_load": ("encoder", "depth"), "png": True},
    ),
    ("train", "--model_name test --num_workers 0 --no_cuda", {"device": "cpu"}),
    (
        "train",
        "--model_name d --dataset kitti_depth --split eigen_zhou",
        {"dataset": "kitti_depth"},
    ),
    ("train", "--model_name o --dataset kitti_odom --split odom --png", {"split": "odom"}),
    ("train", "--model_name c --save_frequency 5 --log_frequency 100", {"save_frequency": 5}),
    ("train", "--model_name e --eval_mono --eval_split eigen --post_process", {}),
    ("train", "--model_name a --disable_automasking --predictive_mask --v1_multi", {}),
    ("train", "--model_name s --weights_init scratch --num_epochs 25 --scheduler_step 10", {}),
    ("train", "--model_name h --height 320 --width 1024 --batch_size 4 --learning 5e-5", {}),
    (
        "train",
        "--model_name S_640x192 --use_stereo --frame_ids 0 --split eigen_full --data_path ~/kitti "
        "--log_dir ~/tmp",
        {"data_path": Path.home() / "kitti", "log_dir": Path.home() / "tmp"},
    ),
    (
        "train",
        "--model_name MS_1024x320 --use_stereo --frame_ids 0 -1 1 --height 320 --width 1024 "
        "--load_weights_folder ~/tmp/MS_640x192/models/weights_9 --num_epochs 5 "
        "--learning_rate 1e-5 --batch_size 12",
        {"height": 320, "num_epochs": 5},
    ),
    ("train", "--model_name M_no_pt --weights_init scratch --num_workers 8", {"num_workers": 8}),
    ("train", "--model_name r50 --num_layers 50", {"num_layers": 50}),
    ("train", "--model_name shared --pose_model_type shared --png", {"pose_model_type": "shared"}),
    (
        "train",
        "--model_name posecnn --pose_model_type posecnn --v1_multiscale --disable_automasking",
        {"pose_model_type": "posecnn", "v1_multiscale": True},
    ),
    ("train", "--model_name all --pose_model_input all --avg_reprojection", {}),
    ("train", "--model_name l1 --no_ssim --disparity_smoothness 0.001", {"no_ssim": True}),
    (
        "train",
        "--model_name one_scale --scales 0 --min_depth 0.1 --max_depth 100",
        {"scales": (0,)},
    ),
    ("train", "--model_name far --frame_ids 0 -2 -1 1 2", {"frame_ids": (0, -2, -1, 1, 2)}),
    (
        "train",
        "--model_name b --split benchmark --dataset kitti --eval_stereo --disable_median_scaling "
        "--pred_depth_scale_factor 5.4 --eval_out_dir out",
        {"split": "benchmark"},
    ),
    (
        "train",
        "--model_name p --load_weights_folder models/mono_640x192 --models_to_load encoder depth "
        "pose_encoder pose --num_epochs 1 --scheduler_step_size 1",
        {"models_to_load": ("encoder", "depth", "pose_encoder", "pose")},
    ),
    (
        "evaluate",
        "--load_weights_folder models/mono+stereo_640x192 --eval_stereo --eval_split eigen "
        "--data_path ~/kitti --png --num_workers 8 --post_process",
        {"post_process": True, "data_path": Path.home() / "kitti"},
    ),
    (
        "evaluate",
        "--load_weights_folder w --eval_stereo --eval_split benchmark --save_pred_disps --no_eval",
        {"eval_split": "benchmark", "no_eval": True},
    ),
    (
        "evaluate",
        "--load_weights_folder w --eval_mono --pred_depth_scale_factor 5.4 "
        "--disable_median_scaling --eval_out_dir out --save_pred_disps",
        {"pred_depth_scale_factor": 5.4},
    ),
    ("evaluate", "--load_weights_folder w --eval_mono --batch_size 1", {"batch_size": 1}),
    ("export", "--data_path ~/kitti --split eigen", {"data_path": Path.home() / "kitti"}),
    (
        "pose",
        "--eval_split odom_10 --load_weights_folder ~/tmp/odom/models/weights_19 "
        "--data_path ~/odom/dataset --no_cuda --frame_ids 0 1",
        {"eval_split": "odom_10", "device": "cpu"},
    ),
    (
        "demo",
        "--image_path assets --model_name mono_1024x320 --ext jpg",
        {"image_path": (Path("assets"),), "ext": "jpg"},
    ),
    ("demo", "--image_path a.jpg --model_name mono_no_pt_640x192", {}),
    ("demo", "--model_name stereo_640x192 --image_path street --pred_metric_depth", {}),
    (
        "evaluate",
        "--load_weights_folder ~/tmp/mono_model/models/weights_19/ --eval_mono",
        {"load_weights_folder": Path.home() / "tmp/mono_model/models/weights_19"},
    ),
    (
        "evaluate",
        "--load_weights_folder w --eval_stereo --data_path d --num_layers 50 --height 192 "
        "--width 640 --use_stereo --frame_ids 0 -1 1 --max_depth 80 --model_name stereo_model",
        {"eval_stereo": True, "model_name": None, "max_depth": 80},
    ),
    ("evaluate", "--load_weights_folder w --eval_mono --eval_split eigen_benchmark --no_cuda", {}),
    ("evaluate", "--eval_mono --load_weights_folder w --save_pred_disps --no_eval", {}),
    ("evaluate", "--ext_disp_to_eval ~/d.npy --eval_mono", {"eval_mono": True}),
    (
        "evaluate",
        "--ext_disp_to_eval d.npy --load_weights_folder w --eval_stereo --disable_median_scaling "
        "--post_process --save_pred_disps",
        {"load_weights_folder": None, "post_process": False},
    ),
    (
        "evaluate",
        "--ext_disp_to_eval disps_eigen_split.npy --eval_mono --eval_split eigen_benchmark "
        "--eval_eigen_to_benchmark",
        {"eval_eigen_to_benchmark": True},
    ),
    ("evaluate", "--load_weights_folder w --eval_eigen_to_benchmark --eval_mono", {}),
    (
        "pose",
        "--eval_split odom_9 --load_weights_folder ./odom_split.M/models/weights_29 "
        "--data_path kitti_odom/ --num_layers 18 --png --eval_stereo",
        {"eval_split": "odom_9", "data_path": Path("kitti_odom")},
    ),
    ("export", "--data_path kitti_data --split eigen_benchmark", {"split": "eigen_benchmark"}),
    (
        "demo",
        "--image_path assets/test_image.jpg --model_name mono+stereo_640x192 --no_cuda "
        "--pred_metric_depth --ext png",
        {"device": "cpu", "model_name": "mono+stereo_640x192"},
    ),
]
PUBLISHED_COMMANDS = {
    "train": (TrainOptions, [EvaluateOptions]),
    "evaluate": (EvaluateOptions, [TrainOptions]),
    "pose": (EvaluatePoseOptions, [TrainOptions, EvaluateOptions]),
    "export": (ExportOptions, []),
    "demo": (DemoOptions, []),
}


@pytest.mark.parametrize(("command", "line", "values"), PUBLISHED_LINES)
def test_lines_of_the_published_code_are_taken(command, line, values):
    cls, others = PUBLISHED_COMMANDS[command]
    options = parse(cls, line.split(), others)
    assert {name: getattr(options, name) for name in values} == values


def test_what_does_nothing_is_said(caplog):
    caplog.set_level("INFO")
    line = "--load_weights_folder w --eval_mono --height 192 --frame_ids 0 -1 1 --model_name mine"
    parse(EvaluateOptions, line.split(), [TrainOptions])
    assert "another command: --height 192, --frame_ids 0 -1 1" in caplog.text
    assert "the weights folder says the model: --model_name mine" in caplog.text
    caplog.clear()
    parse(EvaluateOptions, ["--load_weights_folder", "w", "--eval_mono"], [TrainOptions])
    assert caplog.text == ""


def test_published_takes_the_values_that_differ_but_not_those_given():
    assert (
        "--resize area (lanczos), --intrinsics calibration"
        in parse(TrainOptions, []).unlike_published
    )
    options = read(TrainOptions, "--published")
    assert options.unlike_published == ""
    assert (options.resize, options.intrinsics, options.num_workers) == ("lanczos", "published", 12)
    assert (options.log_dir, options.save_frequency) == (Path.home() / "tmp", 1)
    options = read(TrainOptions, "--num_workers 2 --published --log_dir=~/runs")
    assert (options.resize, options.num_workers) == ("lanczos", 2)
    assert options.log_dir == Path.home() / "runs"
    message = refusal(TrainOptions, "--task supervised --dataset rgbd --published")
    assert "--published: is for --task self_supervised" in message


def test_no_cuda_contradicts_a_gpu():
    assert "--no_cuda: cannot go with --device gpu:1" in refusal(
        TrainOptions, "--no_cuda --device gpu:1"
    )
