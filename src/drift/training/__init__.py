"""Stage 3: weighted fine-tuning on the retained turns (Eq. 14 and 15)."""
