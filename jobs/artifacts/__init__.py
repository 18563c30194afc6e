"""Artifacts: files that jobs have made, and files that people have uploaded for jobs."""
