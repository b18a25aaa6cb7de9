"""The evaluation of all heads of a run, in and out of domain."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from noiseproof.core.progress import progress
from noiseproof.evaluate.results import write_results
from noiseproof.heads.estimators import load_head
from noiseproof.heads.saved_heads import SUFFIXES
from noiseproof.pipelines.inputs.data_parts import evaluate_on
from noiseproof.pipelines.inputs.encoded import EncodedParts
from noiseproof.pipelines.outputs.stages import Stages
from noiseproof.pipelines.run_heads.heads import HeadVariant

RESULTS, EVALUATE = "results.jsonl", "evaluate"


def evaluate_once(
    stages: Stages,
    heads: Sequence[HeadVariant],
    fitted: Sequence[Sequence[str]],
    encoded: EncodedParts,
) -> None:
    """Evaluate all heads against the true labels where they are known, and write `results.jsonl`."""

    tests = encoded.parts.tests

    def make(folder: Path) -> list[str]:
        trained = [(head, seed) for head in heads for seed in range(head.num_seeds)]
        sets = [(part, encoded.features(part), *one) for part in tests for one in part.evaluations]
        rows = []
        with progress("Evaluation", total=len(trained) * len(sets), unit="set") as bar:
            for head, seed in trained:
                fitted_head = load_head(stages.path(head.file(seed) + SUFFIXES[0]))
                for part, matrix, name, domain, labels in sets:
                    where = {"name": head.name, "seed": seed, "set_name": name, "domain": domain}
                    rows.append(evaluate_on(part, fitted_head, matrix, labels, **where))
                    bar.update()
        write_results(folder / RESULTS, rows)
        return [RESULTS]

    names = [head.name for head in heads]
    sets = [[one.name, one.role, encoded.key(one), one.evaluations, *one.gone] for one in tests]
    stages.once(EVALUATE, depends_on=[names, fitted, sets], make=make)
