"""The machine: table specs become jobs, jobs leave records, records become tables."""
