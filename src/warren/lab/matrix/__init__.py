"""The proof that hosts behind NATs find each other: every kind of place against every other, simulated and for real."""
