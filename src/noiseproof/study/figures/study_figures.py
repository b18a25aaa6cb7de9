"""All figures of a study by their name in a recipe."""

from __future__ import annotations

from collections.abc import Callable

from noiseproof.study.figures.curves import (
    detectors_figure,
    influence_figure,
    label_noise_figure,
    methods_figure,
)
from noiseproof.study.figures.drawing import Drawn
from noiseproof.study.figures.heat import noise_figure
from noiseproof.study.figures.portrait_figures import curvature_figures, feature_map_figures
from noiseproof.study.figures.spectrum_figures import singular_values_figure, spectrum_and_accuracy_figure
from noiseproof.study.study_results import StudyResults

FIGURES: dict[str, Callable[[StudyResults], list[Drawn]]] = {
    "influence": influence_figure,
    "spectrum-and-accuracy": spectrum_and_accuracy_figure,
    "methods": methods_figure,
    "noise-x-noise": noise_figure,
    "label-noise": label_noise_figure,
    "detectors": detectors_figure,
    "singular-values": singular_values_figure,
    "feature-maps": feature_map_figures,
    "curvature": curvature_figures,
}
