"""Parts of a training step: turns, clocks, losses, penalties, optimisers, averages."""
