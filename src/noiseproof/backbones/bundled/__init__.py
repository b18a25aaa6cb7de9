"""Encoders that pip installs or that ship with the package."""
