"""Stage 2: returns (Eq. 12), importance weights (Eq. 13), and the turns that are trained on."""
