"""Measures of a study: heads, tunings, detectors, spectra, feature maps and curvature."""
