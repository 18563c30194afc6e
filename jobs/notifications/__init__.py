"""Notifications: events and messages that reach people and programs outside of Flagsite."""
