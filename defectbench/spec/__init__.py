"""What a table asks: YAML in, a checked `TableSpec` out.

May use: the ground, `data.splitting` and `metrics` for their names.
"""
