"""Encoders, decoders and the layer that composes them."""
