"""The machine a process runs on: what it is, which number formats suit it, and how its threads wait."""
