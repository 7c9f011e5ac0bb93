"""From a weights folder and a picture to depth, and pictures of it."""

from system.cpu_math import prepare

prepare()  # has to come before Paddle
