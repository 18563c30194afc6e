"""Reads from memory: what each web process knows, how it hears of changes, and ready-made answers."""
