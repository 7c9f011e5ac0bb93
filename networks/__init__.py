"""Encoders, decoders and the layer that composes them."""

from cpu_math import prepare

prepare()  # has to come before Paddle
