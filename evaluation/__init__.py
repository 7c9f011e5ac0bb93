"""Metrics, and the protocols that the published results were measured with."""
