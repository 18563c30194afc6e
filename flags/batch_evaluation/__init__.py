"""Evaluations of many flags for many organizations and users, as a job."""
