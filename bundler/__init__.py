"""The bundler: makes an executable of a GGUF model, at build time."""
