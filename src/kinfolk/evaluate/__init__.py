"""Receives a log and methods, hands on scores of every candidate, tables with intervals, and a report."""
