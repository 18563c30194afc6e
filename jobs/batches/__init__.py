"""Batches: many chains as one piece of work, with an outcome, a progress, and a job that follows at the end."""
