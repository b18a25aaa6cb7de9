"""Adapt pre-trained models when labels are wrong.

Importing this package does nothing else: the names below are loaded when they are first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from noiseproof.core.version import __version__

_HOMES = {
    "CoTeaching": "noiseproof.robust.co_teaching",
    "DeftConfig": "noiseproof.config.deft",
    "DeftSettings": "noiseproof.config.deft",
    "DivideMix": "noiseproof.robust.divide_mix",
    "FinetuneConfig": "noiseproof.config.finetune",
    "FinetuneSettings": "noiseproof.adapt.finetune_settings",
    "LinearProbe": "noiseproof.heads.estimators",
    "LinearProbeRegressor": "noiseproof.heads.regressors",
    "MLPProbe": "noiseproof.heads.estimators",
    "MLPProbeRegressor": "noiseproof.heads.regressors",
    "MetaWeightNet": "noiseproof.robust.meta_weight_net",
    "NMTune": "noiseproof.heads.estimators",
    "NMTuneRegressor": "noiseproof.heads.regressors",
    "RunConfig": "noiseproof.config.run",
    "corrupt_labels": "noiseproof.noise.kinds",
    "deft": "noiseproof.pipelines.deft.flow",
    "estimate_transition": "noiseproof.detect.transition_estimate",
    "export_issues": "noiseproof.export.formats",
    "extract": "noiseproof.features.extract",
    "find_label_issues": "noiseproof.detect.find_issues",
    "finetune": "noiseproof.pipelines.finetune",
    "load": "noiseproof.pipelines.loading",
    "load_features": "noiseproof.features.store",
    "load_issues": "noiseproof.export.issue_files",
    "open_dataset": "noiseproof.data.sources",
    "run": "noiseproof.pipelines.run",
    "spectrum": "noiseproof.diagnose.spectrum",
    "swap_captions": "noiseproof.noise.captions",
}
__all__ = ["__version__", *sorted(_HOMES)]

if TYPE_CHECKING:
    from noiseproof.adapt.finetune_settings import FinetuneSettings as FinetuneSettings
    from noiseproof.config.deft import DeftConfig as DeftConfig
    from noiseproof.config.deft import DeftSettings as DeftSettings
    from noiseproof.config.finetune import FinetuneConfig as FinetuneConfig
    from noiseproof.config.run import RunConfig as RunConfig
    from noiseproof.data.sources import open_dataset as open_dataset
    from noiseproof.detect.find_issues import find_label_issues as find_label_issues
    from noiseproof.detect.transition_estimate import estimate_transition as estimate_transition
    from noiseproof.diagnose.spectrum import spectrum as spectrum
    from noiseproof.export.formats import export_issues as export_issues
    from noiseproof.export.issue_files import load_issues as load_issues
    from noiseproof.features.extract import extract as extract
    from noiseproof.features.store import load_features as load_features
    from noiseproof.heads.estimators import LinearProbe as LinearProbe
    from noiseproof.heads.estimators import MLPProbe as MLPProbe
    from noiseproof.heads.estimators import NMTune as NMTune
    from noiseproof.heads.regressors import LinearProbeRegressor as LinearProbeRegressor
    from noiseproof.heads.regressors import MLPProbeRegressor as MLPProbeRegressor
    from noiseproof.heads.regressors import NMTuneRegressor as NMTuneRegressor
    from noiseproof.noise.captions import swap_captions as swap_captions
    from noiseproof.noise.kinds import corrupt_labels as corrupt_labels
    from noiseproof.pipelines.deft.flow import deft as deft
    from noiseproof.pipelines.finetune import finetune as finetune
    from noiseproof.pipelines.loading import load as load
    from noiseproof.pipelines.run import run as run
    from noiseproof.robust.co_teaching import CoTeaching as CoTeaching
    from noiseproof.robust.divide_mix import DivideMix as DivideMix
    from noiseproof.robust.meta_weight_net import MetaWeightNet as MetaWeightNet


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'noiseproof' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
