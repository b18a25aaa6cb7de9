"""The version of noiseproof."""

__version__ = "0.2.0"
