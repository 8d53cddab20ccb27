"""Defect generators under one roof: train them, score them, and see which one helps an inspector."""

__version__ = "0.1.0"
