"""What only makes training on CPUs faster, and leans on parts that Paddle may change.

:mod:`training.cpu.fast_paths` says what of it can be used; without it all is computed by Paddle's
own operations. Nothing of it acts where Paddle's device is no CPU.
"""
