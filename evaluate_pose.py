"""The published name of ``python -m tools.evaluate_pose``."""

from system.errors import run_command
from tools.evaluate_pose import main

if __name__ == "__main__":
    run_command(main)
