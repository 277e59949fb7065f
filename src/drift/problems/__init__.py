"""What is asked: the problem, the embedded arithmetic set, and the user's own files."""
