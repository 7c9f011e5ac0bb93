"""``python -m datasets.streets``: see :mod:`datasets.streets.generate`."""

from datasets.streets.generate import main
from system.errors import run_command

if __name__ == "__main__":
    run_command(main)
