"""Images and layers to dm-verity root hashes, straight from the bytes as stored; knows nothing of policies."""
