"""The kinds of depth networks by name, said once and without Paddle."""

# Encoders of Monodepth: ResNets by their number of layers, and the other ones by name.
RESNET, RESNET_LAYERS = "resnet", (18, 34, 50, 101, 152)
CONVNEXTS = ("convnext_tiny", "convnext_small", "convnext_base")
ENCODERS = (*(f"{RESNET}{layers}" for layers in RESNET_LAYERS), *CONVNEXTS)

MONODEPTH, MIDAS_SMALL = "monodepth", "midas_small"
# The modules of Monodepth; those that predicting depth needs, by kind; all that there are.
MODULES = ("encoder", "depth", "pose_encoder", "pose", "predictive_mask")
DEPTH_MODULES = {MONODEPTH: ("encoder", "depth"), MIDAS_SMALL: ("pretrained", "scratch")}
ALL_MODULES = (*MODULES, *DEPTH_MODULES[MIDAS_SMALL])
