"""Files of weights: folders and formats, names, conversion and downloads; read without trust."""

from system.cpu_math import prepare

prepare()  # has to come before Paddle
