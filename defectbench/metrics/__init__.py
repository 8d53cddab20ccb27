"""Metrics as pure functions of stored features or of pixels."""
