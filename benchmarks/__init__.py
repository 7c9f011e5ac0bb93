"""Measurements that take longer than a test."""

from system.cpu_math import prepare

prepare()  # has to come before Paddle
