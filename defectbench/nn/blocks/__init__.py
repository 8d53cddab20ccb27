"""Layers and small networks that several architectures share."""
