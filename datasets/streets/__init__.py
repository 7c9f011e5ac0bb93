"""Generated streets in the layout of KITTI raw."""
