"""Measurements that take longer than a test."""

import os

from system.cpu_math import prepare

# As we were started: Paddle tells OpenMP to use one thread, which is not for programs of others.
GIVEN_ENVIRONMENT = dict(os.environ)
prepare()  # has to come before Paddle
