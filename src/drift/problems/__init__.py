"""What is asked: the problem, the embedded arithmetic set, published sets, and the user's own files."""
