"""Where published weights are, and how to know that they are the right ones."""

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

# MiDaS v2.1 small. Its authors publish no checksum: its parameters are compared by name and shape.
MIDAS = "midas_v21_small"
MIDAS_URL = "https://github.com/isl-org/MiDaS/releases/download/v2_1/"
MIDAS_FILE = "midas_v21_small_256.pt"
DEPTH_MODELS = (*MODELS, MIDAS)

# Encoders trained on ImageNet: torchvision's files, the preferred one first. The end of a name is
# the start of the file's SHA-256.
IMAGENET = {
    "resnet18": ("resnet18-f37072fd.pth", "resnet18-5c106cde.pth"),
    "resnet34": ("resnet34-333f7ec4.pth",),
    "resnet50": ("resnet50-0676ba61.pth", "resnet50-19c8e357.pth"),
    "convnext_tiny": ("convnext_tiny-983f1562.pth",),
    "convnext_small": ("convnext_small-0c510722.pth",),
    "convnext_base": ("convnext_base-6075fbad.pth",),
}
