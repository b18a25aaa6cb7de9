"""What a study measures: heads, tunings, detectors, spectra, feature maps and curvature."""
