"""The flow of `noiseproof apply`: decisions of people -> a cleaned data set, and what was changed in it."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from noiseproof.config.apply import ApplyConfig
from noiseproof.core.errors import BadData, MissingFile, invalid
from noiseproof.core.plurals import counted
from noiseproof.core.records import LabelIssues, LabelledDataset
from noiseproof.core.storage.files import locked_folder, write_bytes
from noiseproof.data.examples import Rows
from noiseproof.data.fingerprints import content_hashes
from noiseproof.data.request import Request
from noiseproof.data.sources import CLEANED, applied_card, open_dataset, with_own_columns
from noiseproof.decisions.decision_files import DECISIONS, keep_decisions, spreadsheet
from noiseproof.decisions.record import COLUMNS, Decision, ReviewedExamples
from noiseproof.decisions.settle import Settled
from noiseproof.export.cleaned import cleaned_suffix, write_cleaned
from noiseproof.export.cleaned_folder import LABELS, write_cleaned_folder
from noiseproof.export.edits import Cleaning
from noiseproof.export.formula_notes import formula_notes
from noiseproof.export.issue_files import load_issues, read_summary
from noiseproof.export.source import Source
from noiseproof.pipelines.inputs.cleaned_copies import read_folder
from noiseproof.pipelines.outputs.cards import read_search_card, write_card
from noiseproof.pipelines.outputs.output_folders import check_is_apart, only_process_in
from noiseproof.pipelines.outputs.stages import Stages, publish
from noiseproof.pipelines.reviewed.brought_decisions import read_brought
from noiseproof.pipelines.reviewed.kept_page import REVIEW
from noiseproof.pipelines.reviewed.known_decisions import read_settled
from noiseproof.pipelines.reviewed.rate_sample import open_sample, sample_lines
from noiseproof.report.next_steps import train_again
from noiseproof.review.review_page import put_decisions

CARD, CHANGES = CLEANED, "changes.csv"
COUNTS = ("kept", "relabelled", "excluded", "unsure")  # of decided examples, `num_...` of the card
_STAGE = "cleaned data"
_NUM_NAMED = 3
_COLUMNS = ("label", "image", "text", "clean_label", "on_error", "seed", "missing_label")


@dataclass(frozen=True)
class AppliedDecisions:
    """Results of a finished `apply`.

    Attributes:
        data: the cleaned file or folder.
        decisions: `decisions.csv` in the folder that was reviewed.
        card: the contents of `applied.json`.
        rate: a sentence on how many labels are wrong, by the drawn sample, where there is one.
        next_command: trains on the cleaned data; `None` for labels without examples.
    """

    data: Path
    decisions: Path
    card: dict[str, Any]
    rate: Sequence[str] = ()
    next_command: str | None = None


def apply(
    config: ApplyConfig,
    *,
    command: str = "noiseproof.pipelines.apply.apply(...)",
    say: Callable[[str], None] = lambda line: None,
) -> AppliedDecisions:
    """Write the data set as people decided, and keep their decisions beside the search for wrong labels.

    Args:
        config: of the folder, the decisions and the output.
        command: how the user started it, for the card.
        say: receives lines about changes in the output folder.

    Raises:
        MissingFile: the folder has no suspect labels, or there are no decisions.
        BadData: decisions are damaged, contradict each other, or are of other data.
        DamagedFile: the drawn sample of the folder was changed.
        InvalidArgument: another process, such as the server of the review page, writes to a folder.
    """
    issues, source, made_by = _open_reviewed(config.folder)
    examples = replace(
        ReviewedExamples.of_issues(issues, fingerprint=source.dataset.fingerprint),
        new_classes=config.allow_new_class,
        contents=content_hashes(source.dataset),
        brought=read_brought(config.folder),
    )
    check_is_apart(config.out, [source.request.name])
    with locked_folder(config.folder, argument="folder"), only_process_in(config.out, mark=CARD):
        _check_not_of_another(config, source)
        settled = _read_complete(config, examples)
        draws = open_sample(config.folder, issues)
        stages = Stages(config.out, command=command)
        cleaning, brought = Cleaning(issues, None, settled.counting), set(examples.brought)
        name = _write_data(stages, config, cleaning, settled, source, brought)
        publish(stages, cards=[CARD], say=say)
        keep_decisions(config.folder, settled.all, examples)
        card = _write_card(stages, config, settled, examples, source, name)
        if (config.folder / REVIEW).is_file():
            put_decisions(config.folder / REVIEW, list(settled.counting.values()))
        rate = sample_lines(draws, settled.counting.values(), issues)
        next_command = _next_command(made_by, source, config.out)
        return AppliedDecisions(config.out / name, config.folder / DECISIONS, card, rate, next_command)


def _next_command(made_by: dict[str, Any], source: Source, out: Path) -> str | None:
    examples = source.dataset.examples
    if isinstance(examples, Rows) and not examples.matrix.shape[1]:
        return None
    return f"noiseproof {train_again(made_by, shlex.quote(str(out)), shlex.quote(f'{out}-run'))}"


def _read_complete(config: ApplyConfig, examples: ReviewedExamples) -> Settled:
    """All decisions on the examples: those of the folder and of the files that the user named."""
    kept = replace(examples, may_have_others=True)
    settled = read_settled(config, config.folder, examples, kept=kept)
    if set(settled.all) <= set(examples.brought) and not config.decisions:
        raise MissingFile(
            f"{str(config.folder)!r} has no decisions. Next: decide in its review.html and save the "
            f"{DECISIONS}, or name a file with `decisions`."
        )
    if config.require_complete:
        _check_complete(settled, examples)
    return settled


def _check_complete(settled: Settled, examples: ReviewedExamples) -> None:
    """Raise `BadData` unless every label that looks wrong is decided."""
    known = {one.example_id for one in settled.counting.values() if one.is_sure}
    flagged = examples.flagged
    left = [one for one in flagged if one not in known]
    if left:
        raise BadData(
            f"{len(left):,} of {counted(len(flagged), 'label')} flagged as wrong "
            f"{'is' if len(left) == 1 else 'are'} undecided or unsure, such as "
            f"{', '.join(map(repr, left[:_NUM_NAMED]))}; allowed with `require_complete`: a decision on "
            "each. Next: decide them, or leave `require_complete` out."
        )


def _open_reviewed(folder: Path) -> tuple[LabelIssues, Source, dict[str, Any]]:
    """The suspect labels in a folder, the unchanged data set they are of, and the configuration of both."""
    issues = load_issues(folder)
    _, made_by = read_search_card(folder)
    options = {name: made_by[name] for name in _COLUMNS}
    try:
        dataset = open_dataset(made_by["train"], **options, limit=made_by["limit"], may_lack_examples=True)
    except MissingFile as error:
        raise MissingFile(
            f"{error} It is the data set of {str(folder)!r}. Next: start this command where that one was "
            "started, or bring the data back to its place."
        ) from error
    fingerprint = read_summary(folder).data_fingerprint
    if fingerprint not in (None, dataset.fingerprint):
        raise BadData(
            f"The examples of {made_by['train']!r} have changed since {str(folder)!r} was made; allowed: the "
            "examples that were judged. Next: start its command again, then this one."
        )
    request = with_own_columns(Request(made_by["train"], **options, may_lack_examples=True))
    is_whole = made_by["limit"] is None and dataset.num_skipped == 0
    if not (made_by.get("noise") or made_by.get("noise_manifest")):
        _check_same_labels(issues, dataset, folder)
    return issues, Source(dataset, request, is_whole=is_whole), made_by


def _check_not_of_another(config: ApplyConfig, source: Source) -> None:
    """Refuse a folder with the cleaned data of another search in other data, which these would replace."""
    card = applied_card(config.out)
    made_of, fingerprint = card.get("config", {}).get("folder"), card.get("data_fingerprint")
    if fingerprint in (None, source.dataset.fingerprint):
        return
    if isinstance(made_of, str) and Path(made_of).resolve() != config.folder.resolve():
        raise invalid(
            "out", str(config.out), "a new folder, or that of an earlier start of the same command",
            f"It has the cleaned data of {made_of!r}. Next: name another folder, or delete this one.",
        )  # fmt: skip


def _check_same_labels(issues: LabelIssues, dataset: LabelledDataset, folder: Path) -> None:
    """Refuse labels that were changed since they were judged, which the judged ones would replace."""
    judged = [str(each) for each in issues.named(issues.given_labels)]
    now = dataset.given_names
    row = next((k for k, (one, other) in enumerate(zip(judged, now, strict=True)) if one != other), None)
    if row is not None:
        raise BadData(
            f"Labels of {dataset.name!r} have changed since {str(folder)!r} was made: "
            f"{str(dataset.ids[row])!r} had {judged[row]!r} and has {now[row]!r} now; allowed: the labels "
            "that were judged. Next: start its command again, then this one."
        )


def _write_data(
    stages: Stages,
    config: ApplyConfig,
    cleaning: Cleaning,
    settled: Settled,
    source: Source,
    brought: set[Decision],
) -> str:
    """Write the cleaned data set and the list of changes; returns the name of its file or folder."""
    is_folder = source.kind == "folder"
    suffix = "" if is_folder else _suffix(source)
    origin = source.path.resolve()
    name = f"{origin.name if is_folder else origin.stem}{suffix}" or "data"
    inside = (config.out / name).rglob("*") if is_folder else ()
    files = [path.relative_to(config.out).as_posix() for path in inside if not path.is_dir()]
    cleaned = read_folder(source.path) if is_folder else None
    before = {} if cleaned is None else cleaned.rows
    files.append(LABELS if is_folder else name)
    stages.check_free([*files, CHANGES], unedited=[LABELS if is_folder else name])

    def make(folder: Path) -> list[str]:
        if is_folder:
            written = write_cleaned_folder(cleaning, folder / name, source, before)
        else:
            written = write_cleaned(cleaning, folder / name, source, config.out)
        write_bytes(folder / CHANGES, _changes(cleaning.issues, settled, brought))
        return [*(path.relative_to(folder).as_posix() for path in written), CHANGES]

    stat = origin.stat()
    depends_on = [
        asdict(source.request), source.dataset.fingerprint, [stat.st_size, stat.st_mtime_ns], name,
        str(config.out.resolve()), [asdict(one) for one in settled.all],
        cleaning.issues.ids.astype(str), cleaning.issues.given_labels, before,
    ]  # fmt: skip
    stages.once(_STAGE, depends_on=depends_on, make=make)
    return name


def _suffix(source: Source) -> str:
    try:
        return cleaned_suffix(source, "cleaned-copy")
    except ValueError as error:
        raise BadData(
            f"{source.request.name!r} cannot be written as a cleaned copy; allowed: folders, tables, .npz "
            "files and images in files. Next: give the decisions to 'noiseproof detect' and 'run' with "
            "--decisions."
        ) from error


def _changes(issues: LabelIssues, settled: Settled, brought: set[Decision]) -> bytes:
    """A row per decision, with the label before; decisions that another one outweighs are marked."""
    given = dict(zip(issues.ids.astype(str).tolist(), issues.named(issues.given_labels), strict=True))
    rows = (
        [
            *(getattr(one, name) for name in COLUMNS),
            given[one.example_id],
            settled.counting[one.example_id] == one,
        ]
        for one in settled.all
        if one not in brought
    )
    return spreadsheet([*COLUMNS, "original_label", "counts"], rows)


def _write_card(
    stages: Stages,
    config: ApplyConfig,
    settled: Settled,
    examples: ReviewedExamples,
    source: Source,
    name: str,
) -> dict[str, Any]:
    brought = set(examples.brought)
    counting = [one for one in settled.counting.values() if one not in brought]
    given = {one.example_id: examples.given[examples.row[one.example_id]] for one in counting}
    relabelled = [one for one in counting if one.label and one.label != given[one.example_id]]
    new = Counter(one.label for one in relabelled if one.label not in examples.classes)
    notes = [
        *settled.notes,
        *(f"New class {each!r}: {counted(num, 'example')}." for each, num in new.items()),
    ]
    return write_card(
        stages,
        CARD,
        "apply",
        config=config,
        made_by=_STAGE,
        notes=[*notes, *formula_notes([config.out / name] if (config.out / name).is_file() else [])],
        data=name,
        data_fingerprint=source.dataset.fingerprint,
        columns=source.columns,
        num_examples=len(examples),
        num_decided=len(counting),
        num_decided_before=len(settled.counting) - len(counting),
        num_kept=sum(one.label == given[one.example_id] for one in counting),
        num_relabelled=len(relabelled),
        num_excluded=sum(one.decision == "exclude" for one in counting),
        num_unsure=sum(not one.is_sure for one in counting),
        num_undecided_issues=sum(one not in settled.counting for one in examples.flagged),
    )


def describe(done: AppliedDecisions) -> Sequence[str]:
    """What was done, in sentences."""
    card = done.card
    shown = ", ".join(f"{card[f'num_{name}']} {name}" for name in COUNTS)
    lines = [f"{card['num_decided']} of {counted(card['num_examples'], 'example')} decided: {shown}"]
    if card["num_decided_before"]:
        lines.append(f"{counted(card['num_decided_before'], 'more example')} decided before, as the data say")
    if card["num_undecided_issues"]:
        left = card["num_undecided_issues"]
        one, several = "label that looks wrong has no decision", "labels that look wrong have no decision"
        lines.append(f"{counted(left, one, several)} and {'stays' if left == 1 else 'stay'} as given")
    return [*lines, *done.rate, *(f"Note: {note}" for note in card["notes"])]
