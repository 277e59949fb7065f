"""What a run would take, reckoned before anything is spent: tokens, GPU memory, disk and hours."""
