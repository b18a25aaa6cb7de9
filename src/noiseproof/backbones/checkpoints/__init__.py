"""Weights of any origin: downloads, checkpoints, files that are loaded only where they fit."""
