"""Videos and folders of frames: reading, choosing and laying them out as training data."""

_ENDINGS = ".3gp .avi .flv .m2ts .m4v .mkv .mov .mp4 .mpeg .mpg .mts .ogv .ts .webm .wmv"
VIDEOS = frozenset(_ENDINGS.split())
