"""Networks, losses and training parts shared by two or more modules."""
