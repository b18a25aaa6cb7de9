"""The detectors by name: where each is, what it needs, what it can be told, and who published it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from noiseproof.core.checks import Range, allowed_values
from noiseproof.core.errors import invalid
from noiseproof.core.registry import Registry, unknown_name
from noiseproof.detect.detector_result import DetectorResult
from noiseproof.detect.evidence import Evidence
from noiseproof.detect.prompts import PromptSettings

Allowed = Range | tuple[str, ...] | str  # numbers, words, or what a value has to be in words


@dataclass(frozen=True)
class Detector:
    """An entry of the table.

    Attributes:
        home: where the function is: (evidence, **options) -> `DetectorResult`.
        needs: what it looks at beside the given labels: alternatives, each of things that go together.
        summary: what it does, a phrase.
        source: authors and year.
        options: name -> the numbers or words allowed, in words or as a range.
        is_random: whether it draws random numbers, so that seeds differ.
        estimates_rate: whether the noise rate is an estimate of its own, not the share of what it flags.
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
        "a ridge head that never saw the label; mistakes go to all classes alike",
        "Golub, Heath & Wahba 1979; calibration ours",
        estimates_rate=True,
    ),
    "transition": Detector(
        f"{_HERE}.ridge:transition_detector",
        _FEATURES,
        "the same where some classes are given for others more than for the rest",
        "Dempster, Laird & Rubin 1977; Dawid & Skene 1979",
        estimates_rate=True,
    ),
    "confident_learning": Detector(
        f"{_HERE}.confident_learning:confident_learning_detector",
        (("features",), ("probs",)),
        "confidently of another class, by thresholds per class",
        "Northcutt, Jiang & Chuang 2021, arXiv:1911.00068",
        estimates_rate=True,
    ),
    "neighbours": Detector(
        f"{_HERE}.neighbours:neighbours_detector",
        _FEATURES,
        "most nearest neighbours have another label",
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
        "the upper of two humps of these losses",
        "Li, Socher & Hoi 2020, arXiv:2002.07394",
        is_random=True,
    ),
    "aum": Detector(
        f"{_HERE}.dynamics_detectors:aum_detector",
        _FEATURES,
        "a smaller margin while a head learns than labels that are wrong for sure",
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
        "an image-text model likes another class better",
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
        (),  # what its methods need
        "mean rank of several detectors",
        "Dwork et al. 2001",
        {"methods": "two detectors or more, with commas between"},
    ),
}
DEFAULT_FUSION = ("leave_one_out", "neighbours", "aum")
DETECTORS = Registry("detector", {name: entry.home for name, entry in TABLE.items()})


def run_detector(evidence: Evidence, method: str, options: Mapping[str, Any] | None = None) -> DetectorResult:
    """What a detector says.

    Args:
        evidence: what is known of the examples.
        method: a name of the table.
        options: of that detector.

    Raises:
        UnknownName: no such detector or option.
        InvalidArgument: an option out of range, or something it needs is missing.
    """
    function = DETECTORS.load(method)
    return function(evidence, **checked_options(method, options or {}))


def checked_options(method: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """The options, if the detector has them and they are in range.

    Raises:
        UnknownName, InvalidArgument: see `run_detector`.
    """
    if method == "fusion":
        _check_fusion_methods(fusion_methods(options))
        options = {**options, "methods": fusion_methods(options)}
    return check_options(method, options, TABLE[method].options)


def check_options(method: str, options: Mapping[str, Any], known: Mapping[str, Allowed]) -> dict[str, Any]:
    """The options, if they are among those known and in range.

    Raises:
        UnknownName, InvalidArgument: see `run_detector`.
    """
    for name, value in options.items():
        if name not in known:
            none = "" if known else "It has none. Next: leave the options out."
            raise unknown_name(f"option of the detector {method!r}", name, known, none)
        allowed = known[name]
        is_wrong = (isinstance(allowed, Range) and not allowed.holds(value)) or (
            isinstance(allowed, tuple) and value not in allowed
        )
        if is_wrong:
            said = f"{describe_allowed(allowed)} for the detector {method!r}"
            raise invalid(f"method_options[{name!r}]", value, said)
    return dict(options)


def has_inputs(at_hand: Collection[str], method: str, options: Mapping[str, Any]) -> bool:
    """Whether a method, by its name in the table, can be run on what there is beside the given labels."""
    if method == "fusion":
        return all(has_inputs(at_hand, one, {}) for one in fusion_methods(options))
    return any(set(alternative) <= set(at_hand) for alternative in TABLE[method].needs)


def is_random(method: str, options: Mapping[str, Any]) -> bool:
    """Whether a method, by its name in the table, may say something else with another seed."""
    if method == "fusion":
        return any(is_random(one, {}) for one in fusion_methods(options))
    return method in TABLE and TABLE[method].is_random


def fusion_methods(options: Mapping[str, Any]) -> Sequence[str]:
    """The methods that "fusion" is told, with commas between on the command line, or its usual ones."""
    methods = options.get("methods", DEFAULT_FUSION)
    return [one.strip() for one in methods.split(",")] if isinstance(methods, str) else methods


def _check_fusion_methods(methods: Any) -> None:
    is_list = isinstance(methods, (list, tuple)) and all(isinstance(one, str) for one in methods)
    if not is_list or not 2 <= len(methods) == len(set(methods)) or {"fusion", "auto"} & set(methods):
        raise invalid(
            "methods", methods, "two detectors or more, each once, none of them 'fusion' or 'auto'",
            "Next: methods=leave_one_out,neighbours.",
        )  # fmt: skip
    for unknown in set(methods) - set(TABLE):
        raise unknown_name("detector", unknown, TABLE)


def describe_needs(method: str) -> str:
    """What it needs, in words."""
    return " or ".join(map(" and ".join, TABLE[method].needs)) or "what its methods need"


def describe_allowed(allowed: Allowed) -> str:
    """What an option may be, in words."""
    return " or ".join(allowed) if isinstance(allowed, tuple) else str(allowed)
