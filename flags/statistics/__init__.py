"""The statistics: ten sets of figures about the whole installation, computed side by side by jobs."""
