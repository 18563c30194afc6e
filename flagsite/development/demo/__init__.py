"""The demo shows step by step how a flag reaches 5,000 organizations."""
