"""Targeting rules of flags: for which attributes of a user, or places in the tree, a flag is on, off or rolled out."""
