"""What flags can say: types, variants and values."""
