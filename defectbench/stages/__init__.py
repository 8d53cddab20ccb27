"""What a job does: prepare, fit, sample, score, task. A job comes in, its result goes to the store.

May use: `store`, `plan` and every room that holds images, models or metrics.
"""
