"""Adapt pre-trained models when labels are wrong.

Importing this package does nothing else: the names below are loaded when they are first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_HOMES = {
    "CoTeaching": "noiseproof.adapt.co_teaching",
    "DeftJob": "noiseproof.two_phases.job",
    "DeftSettings": "noiseproof.adapt.deft_settings",
    "DivideMix": "noiseproof.adapt.divide_mix",
    "FinetuneJob": "noiseproof.finetuning.job",
    "FinetuneSettings": "noiseproof.adapt.settings",
    "LinearProbe": "noiseproof.heads.estimators",
    "MLPProbe": "noiseproof.heads.estimators",
    "MetaWeightNet": "noiseproof.adapt.meta_head",
    "NMTune": "noiseproof.heads.estimators",
    "corrupt_labels": "noiseproof.noise.labels",
    "deft": "noiseproof.two_phases.flow",
    "estimate_transition": "noiseproof.detect.transition",
    "export_issues": "noiseproof.export.formats",
    "extract": "noiseproof.features.extract",
    "find_label_issues": "noiseproof.detect.issues",
    "finetune": "noiseproof.finetuning.flow",
    "load_features": "noiseproof.features.store",
    "load_issues": "noiseproof.export.issues",
    "open_dataset": "noiseproof.data.sources",
    "run": "noiseproof.pipeline",
    "spectrum": "noiseproof.diagnose.spectrum",
    "swap_captions": "noiseproof.noise.captions",
}
__all__ = ["__version__", *sorted(_HOMES)]

if TYPE_CHECKING:
    from noiseproof.adapt.co_teaching import CoTeaching as CoTeaching
    from noiseproof.adapt.deft_settings import DeftSettings as DeftSettings
    from noiseproof.adapt.divide_mix import DivideMix as DivideMix
    from noiseproof.adapt.meta_head import MetaWeightNet as MetaWeightNet
    from noiseproof.adapt.settings import FinetuneSettings as FinetuneSettings
    from noiseproof.data.sources import open_dataset as open_dataset
    from noiseproof.detect.issues import find_label_issues as find_label_issues
    from noiseproof.detect.transition import estimate_transition as estimate_transition
    from noiseproof.diagnose.spectrum import spectrum as spectrum
    from noiseproof.export.formats import export_issues as export_issues
    from noiseproof.export.issues import load_issues as load_issues
    from noiseproof.features.extract import extract as extract
    from noiseproof.features.store import load_features as load_features
    from noiseproof.finetuning.flow import finetune as finetune
    from noiseproof.finetuning.job import FinetuneJob as FinetuneJob
    from noiseproof.heads.estimators import LinearProbe as LinearProbe
    from noiseproof.heads.estimators import MLPProbe as MLPProbe
    from noiseproof.heads.estimators import NMTune as NMTune
    from noiseproof.noise.captions import swap_captions as swap_captions
    from noiseproof.noise.labels import corrupt_labels as corrupt_labels
    from noiseproof.pipeline import run as run
    from noiseproof.two_phases.flow import deft as deft
    from noiseproof.two_phases.job import DeftJob as DeftJob


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'noiseproof' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
