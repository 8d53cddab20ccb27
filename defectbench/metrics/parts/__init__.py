"""Shared by the scores: resamples and intervals, distances, rows of scores with floors, and the list of all metrics.

In: arrays, stored features and `Metric` objects. Out: `ScoreRow`s, and metrics by name. Uses `metrics`, `rng` and `config`.
"""
