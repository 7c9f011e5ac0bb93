"""Everything else that a person runs: ``python -m tools.NAME``."""
