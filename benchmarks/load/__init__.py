"""What `serve.py` and `soak.py` share: a world to serve, and an open-loop load generator in a process of its own."""
