"""KITTI drives, generated streets, splits, and the loader that makes batches of them."""

import sys

from system.packages import need_packages

if sys.argv[:1] == ["-m"]:  # a command of this room, which imports packages before it runs
    need_packages()
