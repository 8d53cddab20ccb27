"""The StyleGAN family: networks, critics, and the adversarial game."""
