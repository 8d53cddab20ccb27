"""Image-to-image translation: networks and games of the StarGAN and CycleGAN families."""
