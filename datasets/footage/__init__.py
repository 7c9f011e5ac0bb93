"""Videos and folders of frames: reading, choosing and laying them out as training data."""
