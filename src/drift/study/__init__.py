"""The study: variants trained and evaluated with several seeds, and what can be said about them."""
