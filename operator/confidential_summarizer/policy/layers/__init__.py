"""The root hash of an image layer: tar, compact ext4, dm-verity tree, in one pass without a temporary file."""
