"""Where published weights are, and how to know that they are the right ones."""

from __future__ import annotations

from dataclasses import dataclass

from networks.kinds import DEPTH_ANYTHING, MIDAS_SMALL

MODELS_URL = "https://storage.googleapis.com/niantic-lon-static/research/monodepth2/"
IMAGENET_URL = "https://download.pytorch.org/models/"

# The published models and the MD5 of their archives.
MODELS = {
    "mono_640x192": "a964b8356e08a02d009609d9e3928f7c",
    "stereo_640x192": "3dfb76bcff0786e4ec07ac00f658dd07",
    "mono+stereo_640x192": "c024d69012485ed05d7eaa9617a96b81",
    "mono_no_pt_640x192": "9c2f071e35027c895a4728358ffc913a",
    "stereo_no_pt_640x192": "41ec2de112905f85541ac33a854742d1",
    "mono+stereo_no_pt_640x192": "46c3b824f541d143a45c37df65fbab0a",
    "mono_1024x320": "0ab0766efdfeea89a0d9ea8ba90e1e63",
    "stereo_1024x320": "afc2f2126d70cf3fdf26b550898b501a",
    "mono+stereo_1024x320": "cdc5fc9b23513c07d5b19235d9ef08f7",
}


@dataclass(frozen=True)
class OfficialFile:
    """The official file of a network for pictures of anything.

    Attributes:
        kind: of :data:`networks.kinds.KINDS`.
        url: of the folder that it is in.
        name: of the file.
        sha256: of its content; None where its authors publish none. Its parameters are compared by
            name and shape in any case.
    """

    kind: str
    url: str
    name: str
    sha256: str | None


MIDAS, DEPTH_ANYTHING_SMALL = "midas_v21_small", "depth_anything_v2_small"
OFFICIAL_FILES = {
    DEPTH_ANYTHING_SMALL: OfficialFile(
        DEPTH_ANYTHING["small"],
        "https://huggingface.co/depth-anything/Depth-Anything-V2-Small/resolve/main/",
        "depth_anything_v2_vits.pth",
        "715fade13be8f229f8a70cc02066f656f2423a59effd0579197bbf57860e1378",
    ),
    MIDAS: OfficialFile(
        MIDAS_SMALL,
        "https://github.com/isl-org/MiDaS/releases/download/v2_1/",
        "midas_v21_small_256.pt",
        None,
    ),
}
DEPTH_MODELS = (*MODELS, *OFFICIAL_FILES)

# Encoders trained on ImageNet: torchvision's files, the preferred one first. The end of a name is
# the start of the file's SHA-256.
IMAGENET = {
    "resnet18": ("resnet18-f37072fd.pth", "resnet18-5c106cde.pth"),
    "resnet34": ("resnet34-333f7ec4.pth", "resnet34-b627a593.pth"),
    "resnet50": ("resnet50-0676ba61.pth", "resnet50-19c8e357.pth"),
    "resnet101": ("resnet101-63fe2227.pth", "resnet101-5d3b4d8f.pth"),
    "resnet152": ("resnet152-394f9c45.pth", "resnet152-b121ed2d.pth"),
    "convnext_tiny": ("convnext_tiny-983f1562.pth",),
    "convnext_small": ("convnext_small-0c510722.pth",),
    "convnext_base": ("convnext_base-6075fbad.pth",),
}
