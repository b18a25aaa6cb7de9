"""The card of a model on the Hugging Face hub, from the card and the results of its run."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from noiseproof.evaluate.protocol import Interval, summarise
from noiseproof.evaluate.results import read_results
from noiseproof.models.hub_folder import TASKS, card_text, markdown_table
from noiseproof.models.saved_model import SavedModel
from noiseproof.pipelines.inputs.inputs import short_name
from noiseproof.pipelines.loading import TUNED

_METRICS = ("accuracy", "mean_per_class_accuracy", "ece")
_USE = """```python
import noiseproof

model = noiseproof.load("path/of/this/folder")
print(model.predict({example}))
```

The encoder is opened by its name, and refused where its weights are others."""
_EXAMPLES = {"image": '"photos/"', "text": '["a text"]', "features": "features"}
_LIMITS = (
    "It knows these classes only: an example of another class gets one of them, often with less confidence.",
    "Numbers and confidences hold for data like those it was evaluated on.",
)


def model_card(model: SavedModel, folder: Path, name: str) -> str:
    """Text of the card, by the card and the results of a run folder; without results it says so."""
    card = model.run_card
    file = Path(model.source).stem
    head = file.rpartition("-seed")[0] or TUNED
    results = _results(folder, head) if card else []
    header: dict[str, Any] = {
        "library_name": "noiseproof",
        "pipeline_tag": TASKS[model.kind],
        "tags": ["noiseproof", "label-noise"],
    }
    if results:
        header["model-index"] = [{"name": name, "results": [_indexed(model, *each) for each in results]}]
    notes = [*card.get("choices", ()), *model.notes, *card.get("notes", ()), *_LIMITS]
    return card_text(
        header,
        [
            (name, _lead(model)),
            ("How to use it", _USE.format(example=_EXAMPLES[model.kind])),
            ("Training data", _data(card)),
            ("Label noise", _noise(card, is_tolerant=getattr(model.head, "noise_tolerant", False) is True)),
            ("Results", _table(results, is_fitted_to_all=file.endswith("-all"))),
            ("Limits and notes", "\n".join(f"- {note}" for note in dict.fromkeys(notes))),
            ("Made with", _made_with(card)),
        ],
    )


def _lead(model: SavedModel) -> str:
    encoders = [] if model.needs is None else model.needs.encoders
    on = " and ".join(f"`{each.name}` (layer {each.layer})" for each in encoders)
    frozen = f" on features of {on}" if on else " on features"
    classes = ", ".join(model.class_names[:50])
    more = f" and {len(model.class_names) - 50} more" if len(model.class_names) > 50 else ""
    return (
        f"A `{model.head.kind}` head{frozen}, trained with noiseproof on labels of which some may be wrong."
        f"\n\nClasses ({len(model.class_names)}): {classes}{more}."
    )


def _data(card: Mapping[str, Any]) -> str:
    parts = card.get("data") or [
        {"role": "train", "set": card["train"]["name"]} | card["train"] if "train" in card else {}
    ]
    rows = [
        (part["role"], short_name(part["set"]), f"{part['num_examples']:,}", f"`{part['fingerprint'][:16]}`")
        for part in parts
        if part
    ]
    return markdown_table(("role", "data set", "examples", "fingerprint"), rows) if rows else ""


def _noise(card: Mapping[str, Any], *, is_tolerant: bool) -> str:
    """What was found about the labels, and what was done about it."""
    lines = []
    rate, reviewed = card.get("noise_rate"), card.get("reviewed")
    low, high = (rate["low"], rate["high"]) if rate is not None else (None, None)
    if rate is not None and (high is None or high < 1):
        between = "" if low is None or high is None else f" (between {100 * low:.1f} and {100 * high:.1f} %)"
        basis = "by a drawn sample" if rate.get("basis") == "sample" else "by an estimate"
        lines.append(f"About {100 * rate['rate']:.1f} % of the labels{between} are wrong, {basis}.")
    if rate is not None and card.get("num_suspect_labels") is not None:
        lines.append(f"{card['num_suspect_labels']:,} of {rate['num_examples']:,} labels look wrong.")
        other = "other " if reviewed else ""
        lines.append(
            f"The head learned what the true labels probably are; no {other}label was changed."
            if is_tolerant
            else f"No {other}label was changed for the training; the head learned from the labels as given."
        )
    if reviewed:
        lines.insert(
            0,
            f"People checked {reviewed['num_checked']:,} labels; {reviewed['num_wrong']:,} were wrong, and "
            "were corrected or left out.",
        )
    planted = (card.get("data") or [{}])[0].get("label_noise") or card.get("noise")
    if planted:
        lines.append("Labels of the training data were made wrong on purpose, for research.")
    return " ".join(lines)


def _results(folder: Path, head: str) -> list[tuple[str, Mapping[str, Interval]]]:
    rows = [row for row in read_results(folder / "results.jsonl") if row.head == head]
    return list(summarise(rows)[0].per_set.items()) if rows else []


def _indexed(model: SavedModel, set_name: str, metrics: Mapping[str, Interval]) -> dict[str, Any]:
    """An entry of the hub's model index."""
    return {
        "task": {"type": TASKS[model.kind]},
        "dataset": {"type": "custom", "name": set_name},
        "metrics": [
            {"type": each, "value": round(metrics[each].mean, 4)} for each in _shown_metrics(metrics)
        ],
    }


def _table(results: list[tuple[str, Mapping[str, Interval]]], *, is_fitted_to_all: bool) -> str:
    if not results:
        return "No evaluation came with this model."
    names = _shown_metrics(results[0][1])
    rows = [(name, *(_shown(metrics[each]) for each in names)) for name, metrics in results]
    num_seeds = len(results[0][1][names[0]].values)
    interval = " ± half the 95 % interval (Student's t)"
    basis = f"Means over {num_seeds} seeds{interval}; this file is of one of them"
    basis = "One seed, so there are no intervals" if num_seeds == 1 else basis
    basis += (
        ", fitted again to all examples, those held out for these numbers included."
        if is_fitted_to_all
        else "."
    )
    return f"{markdown_table(('data set', *names), rows)}\n\n{basis}"


def _shown_metrics(metrics: Mapping[str, Interval]) -> list[str]:
    """Those of classes, or all of scores."""
    return [name for name in _METRICS if name in metrics] or list(metrics)


def _shown(interval: Interval) -> str:
    spread = "" if interval.half_width is None else f" ± {interval.half_width:.3f}"
    return f"{interval.mean:.3f}{spread}"


def _made_with(card: Mapping[str, Any]) -> str:
    if not card:
        return ""
    known = card["versions"]
    versions = ", ".join(
        f"{each} {known[each]}" for each in ("torch", "timm", "transformers") if each in known
    )
    made = f"noiseproof {card['noiseproof']} ({versions}), {card['created'][:10]}"
    return f"{made}:\n\n```console\n{card['command']}\n```"
