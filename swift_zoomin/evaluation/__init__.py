"""Predictions and records to figures."""
