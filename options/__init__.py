"""Every option of every command: its name, type, default, help and valid range, said once.

An options object is frozen and has been checked, whether it came from a command line (`parse`),
from a file (`from_json`) or from Python. A field's name is its flag: ``height`` is ``--height``.
"""

from option_fields import from_json, parse, to_json
from options.evaluation import EvaluateOptions, EvaluatePoseOptions, ExportOptions
from options.prediction import AlignOptions, AppOptions, DemoOptions, ModelExportOptions
from options.supervised import SELF_SUPERVISED, SUPERVISED
from options.tools import ConvertOptions, ReproduceOptions
from options.training import PRETRAINED, SCRATCH, STEREO, TrainOptions

__all__ = [
    "PRETRAINED",
    "SCRATCH",
    "SELF_SUPERVISED",
    "STEREO",
    "SUPERVISED",
    "AlignOptions",
    "AppOptions",
    "ConvertOptions",
    "DemoOptions",
    "EvaluateOptions",
    "EvaluatePoseOptions",
    "ExportOptions",
    "ModelExportOptions",
    "ReproduceOptions",
    "TrainOptions",
    "from_json",
    "parse",
    "to_json",
]
