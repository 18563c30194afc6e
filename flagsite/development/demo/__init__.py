"""The demo: a flag that reaches some 5,000 organizations, shown step by step."""
