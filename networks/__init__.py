"""Encoders, decoders and the layer that composes them."""

from system.cpu_math import prepare

prepare()  # has to come before Paddle
