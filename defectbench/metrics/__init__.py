"""Scores of images and of predicted maps: pure functions of arrays and stored features."""
