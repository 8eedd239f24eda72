"""Receives a trained model with its users; hands on one directory that serving, expanding and evaluating open."""

from kinfolk.bundle.bundle import FORMAT, Bundle, Provenance

__all__ = ["FORMAT", "Bundle", "Provenance"]
