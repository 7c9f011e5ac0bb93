"""What names and lengths mean to the whole project, said once and without Paddle."""

# Training takes the other camera of a stereo pair to be 0.1 model units away; KITTI's is 0.54 m.
NOMINAL_BASELINE = 0.1
KITTI_BASELINE_METRES = 0.54
STEREO_SCALE_FACTOR = KITTI_BASELINE_METRES / NOMINAL_BASELINE

STEREO = "s"  # the other camera of the stereo pair, among the sources of a target

IMPROVED_SPLIT = "eigen_benchmark"  # measured on KITTI's improved depth, not on sweeps
