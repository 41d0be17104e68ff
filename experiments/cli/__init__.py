"""The command line's own parts: configuration, targets, help and error messages.

Nothing here imports JAX, so that help and a mistake are answered at once. Every other room
may import from here; this room imports from none but itself.
"""
