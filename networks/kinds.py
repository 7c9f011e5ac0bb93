"""The kinds of depth networks by name, said once and without Paddle."""

MONODEPTH, MIDAS_SMALL = "monodepth", "midas_small"
# The modules of Monodepth; those that predicting depth needs, by kind; all that there are.
MODULES = ("encoder", "depth", "pose_encoder", "pose", "predictive_mask")
DEPTH_MODULES = {MONODEPTH: ("encoder", "depth"), MIDAS_SMALL: ("pretrained", "scratch")}
ALL_MODULES = (*MODULES, *DEPTH_MODULES[MIDAS_SMALL])
