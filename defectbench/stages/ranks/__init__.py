"""A fit on several devices: its processes, on one machine or on the nodes of an allocation."""
