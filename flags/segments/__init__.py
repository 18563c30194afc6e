"""Segments: named groups of users and places, for which the targeting rules of flags can ask."""
