"""Deletions and moves of so many organizations that a job carries them out."""
