"""The embedded store: one SQLite file, one thread that writes it, any number that read."""
