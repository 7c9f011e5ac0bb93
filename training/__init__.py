"""The objective, the loop, checkpoints and logs."""

from system.cpu_math import prepare

prepare()  # has to come before Paddle
