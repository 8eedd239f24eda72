"""Receives clicks and everything made of them, keeps it, and hands it on after a restart: one backend a database."""
