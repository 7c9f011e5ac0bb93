"""The checks of ``python -m tools.check_device``, each of which runs in a process of its own."""
