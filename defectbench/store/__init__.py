"""Jobs, records and provenance on disk: results in, results out.

May use: `plan`.
"""
