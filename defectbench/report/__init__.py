"""From records to tables, gains, leaderboard, comparison and figures.

May use: `store`, `spec`. Trains and reads no images.
"""
