"""Networks, augmentation and matching that the tasks are built from."""
