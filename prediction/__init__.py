"""From a weights folder and a picture to depth, and pictures of it."""
