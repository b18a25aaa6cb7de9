"""Options of heads that follow the data: hidden width, number of seeds, and what to do about wrong labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from noiseproof.config.run import RunConfig
from noiseproof.core.records import LabelIssues
from noiseproof.pipelines.inputs.data_parts import DataPart
from noiseproof.pipelines.run_heads.heads import HeadVariant

# Wider was no better on held-out examples (`docs/heads.md`); the paper's 4 d takes 10 to 30 times as long.
HIDDEN_WIDTH = 128
NUM_SEEDS, ONE_SEED_FROM = 3, 20_000
# Suspects from which on heads tolerate wrong labels: a few are flagged where all labels are right.
LEAST_SUSPECTS, LEAST_SUSPECT_SHARE = 5, 0.01


def num_suspects(issues: LabelIssues, train: DataPart) -> int:
    """Suspect labels to learn from; detection sees held-out examples, too."""
    return int(issues.is_issue[slice(None) if train.rows is None else train.rows].sum())


def follow_data(
    heads: Sequence[HeadVariant],
    config: RunConfig,
    *,
    num_examples: int,
    dim: int,
    num_suspects: int,
    are_texts: bool = False,
) -> tuple[list[HeadVariant], list[str]]:
    """Give heads the options that follow the data, where the configuration leaves them open.

    Widths and noise tolerance were chosen on held-out parts of training data (`docs/heads.md`); the number of
    seeds bounds the time.

    Args:
        heads: of the configuration.
        config: of the run.
        num_examples: n, to learn from.
        dim: d.
        num_suspects: labels among these that look wrong.
        are_texts: examples are texts, for which paper 1 takes another schedule.

    Returns:
        The heads, and notes for readers of the results.
    """
    num_seeds = config.seeds or (NUM_SEEDS if num_examples < ONE_SEED_FROM else 1)
    found = [replace(_with_width(head, dim), num_seeds=num_seeds) for head in heads]
    found = [_with_text_schedule(head) for head in found] if are_texts else found
    are_suspect = num_suspects >= max(LEAST_SUSPECTS, LEAST_SUSPECT_SHARE * num_examples)
    tolerant = [head.name for head in found if are_suspect and _may_tolerate(head)]
    if not tolerant:
        trusting = [head.name for head in found if are_suspect and _trusts_labels(head)]
        return found, [_note_on_trust(trusting, num_suspects, num_examples)] if trusting else []
    found = [
        replace(head, options={**head.options, "noise_tolerant": True}) if head.name in tolerant else head
        for head in found
    ]
    which = " and ".join(tolerant)
    note = (
        f"{num_suspects:,} of the {num_examples:,} labels to learn from look wrong, so {which} learned what "
        "the true labels probably are, not the labels as given (noise_tolerant). On held-out examples of "
        "four sets that made heads 2 to 11 points more accurate with a fifth of the labels wrong; with none "
        "wrong they lost up to 1.3 points with 120 examples and up to 0.2 from 560 on. Without it: "
        f"--heads {','.join(tolerant)}."
    )
    return found, [note]


def _with_width(head: HeadVariant, dim: int) -> HeadVariant:
    """The head with a hidden width for a run; recipes of papers and a ratio of the user stay."""
    is_open = head.options.get("recipe") == "default" and head.options.get("hidden_ratio") is None
    if not is_open or not head.build()[0].spec().architecture.hidden_layers or dim * 4 <= HIDDEN_WIDTH:
        return head
    return replace(head, options={**head.options, "hidden_ratio": HIDDEN_WIDTH / dim})


def _with_text_schedule(head: HeadVariant) -> HeadVariant:
    """The head of recipe "paper" with the linear schedule that the paper has for texts.

    Source: Chen, Wang et al. 2024, arXiv:2309.17002, B.3.
    """
    if head.options.get("recipe") != "paper" or "schedule" in head.options:
        return head
    return replace(head, options={**head.options, "schedule": "linear"})


def _may_tolerate(head: HeadVariant) -> bool:
    return head.is_tolerance_open and _is_plain(head)


def _trusts_labels(head: HeadVariant) -> bool:
    """Whether the user named the head and left open what it does about wrong labels."""
    return not head.is_tolerance_open and _is_plain(head) and "noise_tolerant" not in head.options


def _is_plain(head: HeadVariant) -> bool:
    """Whether the loss is plain; others withstand wrong labels in ways of their own, as the user chose."""
    is_plain = head.options.get("loss", "cross_entropy") == "cross_entropy"
    return is_plain and head.options.get("recipe") == "default"


def _note_on_trust(names: Sequence[str], num_suspects: int, num_examples: int) -> str:
    return (
        f"{num_suspects:,} of the {num_examples:,} labels to learn from look wrong, and "
        f"{' and '.join(names)} learned from the labels as given, since you named them. Next: --set "
        f"heads.{names[0]}.noise_tolerant=auto, or leave --heads out."
    )
