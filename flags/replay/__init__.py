"""The replay of answers: whether users get from Flagsite what a former product has given them."""
