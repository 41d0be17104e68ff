"""What a user adds: one file or folder each, copied out of the tree and run from there."""
