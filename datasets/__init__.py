"""KITTI drives, generated streets, splits, and the loader that makes batches of them."""
