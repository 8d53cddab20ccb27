"""Pure image operations on NumPy arrays; imports nothing of ours."""
