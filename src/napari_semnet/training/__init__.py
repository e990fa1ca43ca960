"""Degrade, learn, measure, write a model."""
