import dataclasses

from noiseproof.report.class_pairs import MOST_EXAMPLES, MOST_PAIRS, class_pairs
from noiseproof.report.run_folder import Suspect, load_run


def test_pairs_are_counted_and_shown_with_their_examples(fake_run):
    run = load_run(fake_run(knows_truth=False))
    labels = [("cat", "dog"), ("dog", "cat"), ("cat", "dog"), ("cat", "cow"), ("cat", "dog")]
    issues = run.issues.head(6).assign(
        given_label=[*(given for given, _ in labels), "cow"],
        suggested_label=[*(suggested for _, suggested in labels), "dog"],
        is_issue=[True] * 5 + [False],
    )
    suspects = [
        Suspect(example_id=str(n), given_label=given, suggested_label=suggested, suspicion=0.9, is_issue=True)
        for n, (given, suggested) in enumerate(labels[:3])
    ]
    found = class_pairs(dataclasses.replace(run, issues=issues, pictured=suspects))
    assert [(pair.given_label, pair.suggested_label, pair.num_flagged) for pair in found] == [
        ("cat", "dog", 3), ("cat", "cow", 1), ("dog", "cat", 1),
    ]  # fmt: skip
    assert [[each.example_id for each in pair.examples] for pair in found] == [["0", "2"], [], ["1"]]


def test_the_page_has_a_few_pairs_with_a_few_examples_each(fake_run):
    run = load_run(fake_run(classes=tuple(f"class {n}" for n in range(9))))
    pairs = class_pairs(run)
    assert 1 <= len(pairs) <= MOST_PAIRS
    assert all(len(pair.examples) <= MOST_EXAMPLES for pair in pairs)
    counts = [pair.num_flagged for pair in pairs]
    assert counts == sorted(counts, reverse=True)
