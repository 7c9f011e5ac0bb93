"""The objective, the loop, checkpoints and logs."""
