"""What makes an executable out of a model, at build time."""
