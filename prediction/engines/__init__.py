"""Runtimes that the depth network runs in, behind one call: images in, sigmoid disparity out."""
