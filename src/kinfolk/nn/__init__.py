"""Receives tensors; hands on layers that models share, one idea a file."""
