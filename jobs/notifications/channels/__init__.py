"""The channels. Each module has `is_set`, `checked` (an address), `shown` (its visible part) and `send`."""
