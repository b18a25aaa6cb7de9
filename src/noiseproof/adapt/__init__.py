"""Objectives that change a pre-trained encoder; the loop is `noiseproof.training`."""
