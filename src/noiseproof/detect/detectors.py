"""The table of detectors: where each function is, what it needs, its options, and who published it.

To add a detector:
1. Write a function `NAME_detector(evidence, **options) -> DetectorResult` in a module of this room, with its
   source in the docstring (`neighbours.py` is an example). `Evidence` has the inputs, checked, and what
   several detectors compute from them; `result_from_posterior` or `result_from_decision` makes the result.
2. Add an entry to `TABLE` below: module and function, inputs, a phrase, the source, options with their
   ranges. `find_label_issues`, `noiseproof detect`, `noiseproof ls detectors` and studies read the table.
3. Add a test in `tests/detect`: a hand-solved case, and a data set on which it finds planted wrong labels.
   `tests/contracts` covers the rest, once the number of detectors there is raised.
4. Add a row to the table in `docs/find-wrong-labels.md`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from noiseproof.core.checks import Allowed, Range, allowed_values, check_entries
from noiseproof.core.errors import invalid
from noiseproof.core.registry import Registry, unknown_name
from noiseproof.detect.prompt_settings import PromptSettings

if TYPE_CHECKING:
    from noiseproof.detect.detector_result import DetectorResult
    from noiseproof.detect.evidence import Evidence


@dataclass(frozen=True)
class Detector:
    """One row of the table.

    Attributes:
        home: "module:function" of a function (evidence, **options) -> `DetectorResult`.
        needs: inputs beside the given labels, as alternatives; the inputs of one alternative go together.
        summary: what the detector does, a phrase.
        source: authors and year.
        options: name -> allowed values.
        is_random: whether the result depends on the seed.
        estimates_rate: whether the noise rate is estimated separately, not the share of flagged labels.
    """

    home: str
    needs: tuple[tuple[str, ...], ...]
    summary: str
    source: str
    options: Mapping[str, Allowed] = field(default_factory=dict)
    is_random: bool = False
    estimates_rate: bool = False


_HERE = "noiseproof.detect"
_FEATURES = (("features",),)
_RATE = {"rate": Range(0.0, 1.0)}
TABLE: dict[str, Detector] = {
    "leave_one_out": Detector(
        f"{_HERE}.ridge:leave_one_out_detector",
        _FEATURES,
        "a ridge head that never saw the label; wrong labels are spread evenly over the classes",
        "Golub, Heath & Wahba 1979; calibration ours",
        estimates_rate=True,
    ),
    "transition": Detector(
        f"{_HERE}.ridge:transition_detector",
        _FEATURES,
        "a ridge head that never saw the label; some pairs of classes are confused more often",
        "Dempster, Laird & Rubin 1977; Dawid & Skene 1979",
        estimates_rate=True,
    ),
    "confident_learning": Detector(
        f"{_HERE}.confident_learning:confident_learning_detector",
        (("features",), ("probs",)),
        "confidently of another class, by a threshold per class",
        "Northcutt, Jiang & Chuang 2021, arXiv:1911.00068",
        estimates_rate=True,
    ),
    "neighbours": Detector(
        f"{_HERE}.neighbours:neighbours_detector",
        _FEATURES,
        "most of the nearest neighbours have another label",
        "Zhu, Dong & Liu 2022, arXiv:2110.06283",
        {"k": Range(1.0, is_whole=True), "search": ("auto", "exact", "graph")},
    ),
    "small_loss": Detector(
        f"{_HERE}.dynamics_detectors:small_loss_detector",
        _FEATURES,
        "the largest losses while a head learns, as many as labels are wrong",
        "Han et al. 2018, arXiv:1804.06872",
        _RATE,
        is_random=True,
    ),
    "mixture": Detector(
        f"{_HERE}.dynamics_detectors:mixture_detector",
        _FEATURES,
        "the component with the larger losses, of a mixture of two Gaussians",
        "Li, Socher & Hoi 2020, arXiv:2002.07394",
        is_random=True,
    ),
    "aum": Detector(
        f"{_HERE}.dynamics_detectors:aum_detector",
        _FEATURES,
        "a smaller margin while a head learns than labels that are certainly wrong",
        "Pleiss et al. 2020, arXiv:2001.10528",
        is_random=True,
    ),
    "forgetting": Detector(
        f"{_HERE}.dynamics_detectors:forgetting_detector",
        _FEATURES,
        "never learned, or learned and forgotten again and again",
        "Toneva et al. 2019, arXiv:1812.05159",
        _RATE,
        is_random=True,
    ),
    "zero_shot": Detector(
        f"{_HERE}.zero_shot:zero_shot_detector",
        (("zero_shot",), ("features", "text_tower")),
        "an image-text model finds another class more probable",
        "Wei et al. 2024, arXiv:2409.19696, Table 1",
    ),
    "prompts": Detector(
        f"{_HERE}.prompts:prompts_detector",
        (("features", "text_tower"),),
        "DeFT: nearer to a learned negative prompt of its class than to the positive one",
        "Wei et al. 2024, arXiv:2409.19696",
        allowed_values(PromptSettings),
        is_random=True,
    ),
    "fusion": Detector(
        f"{_HERE}.fusion:fusion_detector",
        (),  # those of its methods
        "mean rank of several detectors",
        "Dwork et al. 2001",
        {"methods": "two or more detectors, separated by commas"},
    ),
}
AUTO = "auto"  # the method that chooses a detector by the inputs
DEFAULT_FUSION = ("leave_one_out", "neighbours", "aum")
DETECTORS = Registry("detector", {name: entry.home for name, entry in TABLE.items()})


def run_detector(evidence: Evidence, method: str, options: Mapping[str, Any] | None = None) -> DetectorResult:
    """Run one detector.

    Raises:
        UnknownName: the detector or an option does not exist.
        InvalidArgument: an option is out of range, or an input is missing.
    """
    function = DETECTORS.load(method)
    return function(evidence, **checked_options(method, options or {}))


def check_method(method: str, options: Mapping[str, Any] | None = None) -> None:
    """Check the name and the options of a method without running it.

    Raises:
        UnknownName, InvalidArgument: see `find_label_issues`.
    """
    if method not in (AUTO, *DETECTORS.names):
        raise unknown_name("detector", method, (AUTO, *DETECTORS.names))
    if method == AUTO and options:
        raise invalid("method_options", dict(options), "none with method 'auto'", "Name a method.")
    if method != AUTO:
        checked_options(method, options or {})


def checked_options(method: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """The options of a detector, if they exist and are in range.

    Raises:
        UnknownName, InvalidArgument: see `run_detector`.
    """
    check_entries("method_options", options, TABLE[method].options, owner=f"the detector {method!r}")
    if method != "fusion":
        return dict(options)
    methods = fusion_methods(options)
    _check_fusion_methods(methods)
    return {"methods": methods}


def has_inputs(available: Collection[str], method: str, options: Mapping[str, Any]) -> bool:
    """Whether the available inputs, beside the given labels, are enough for a detector."""
    if method == "fusion":
        return all(has_inputs(available, one, {}) for one in fusion_methods(options))
    return any(set(alternative) <= set(available) for alternative in TABLE[method].needs)


def is_random(method: str, options: Mapping[str, Any]) -> bool:
    """Whether the result of a detector depends on the seed."""
    if method == "fusion":
        return any(is_random(one, {}) for one in fusion_methods(options))
    return method in TABLE and TABLE[method].is_random


def fusion_methods(options: Mapping[str, Any]) -> Sequence[str]:
    """Detectors that "fusion" combines: its option `methods`, on the command line a list with commas."""
    methods = options.get("methods", DEFAULT_FUSION)
    return [one.strip() for one in methods.split(",")] if isinstance(methods, str) else methods


def _check_fusion_methods(methods: Any) -> None:
    is_list = isinstance(methods, (list, tuple)) and all(isinstance(one, str) for one in methods)
    if not is_list or not 2 <= len(methods) == len(set(methods)) or {"fusion", AUTO} & set(methods):
        raise invalid(
            "methods", methods, "two or more different detectors other than 'fusion' and 'auto'",
            "Next: methods=leave_one_out,neighbours.",
        )  # fmt: skip
    for unknown in set(methods) - set(TABLE):
        raise unknown_name("detector", unknown, TABLE)


def describe_needs(method: str) -> str:
    """The inputs that a detector needs, in words."""
    return " or ".join(map(" and ".join, TABLE[method].needs)) or "what its methods need"
