"""The published name of ``demo.py``."""

from demo import main
from system.errors import run_command

if __name__ == "__main__":
    run_command(main)
