import dataclasses

import pytest

from noiseproof.evaluate.metrics import METRICS
from noiseproof.evaluate.results import ResultRow
from noiseproof.report.headline import about_heads, best_head, duration, facts, headlines
from noiseproof.report.run_folder import DetectionCard, NoiseRateCard, load_run


def rows(values):
    """{(head, set): accuracies per seed} -> rows."""
    return [
        ResultRow(head, seed, name, "id" if name == "test" else "ood", 10, dict.fromkeys(METRICS, value), {})
        for (head, name), found in values.items()
        for seed, value in enumerate(found)
    ]


@pytest.fixture
def said(fake_run):
    run = load_run(fake_run())

    def about(values, read=headlines, **changes):
        card = run.card.model_copy(update=changes)
        found = read(dataclasses.replace(run, results=rows(values), card=card))
        return [sentence.replace("\u00a0", " ") for sentence in found]

    return about


def test_a_clear_lead_is_called_best(said):
    found = said({("linear", "art"): [0.4, 0.41, 0.4], ("nmtune", "art"): [0.5, 0.51, 0.5]}, about_heads)
    assert found[0] == "nmtune is the best head out of domain"
    assert found[1].startswith("Accuracy out of domain: nmtune 50.3 ± 1.4 %, linear 40.3 ± 1.4 %.")


def test_a_lead_within_the_seeds_is_not_called_best(said):
    found = said({("linear", "art"): [0.4, 0.5, 0.45], ("nmtune", "art"): [0.5, 0.4, 0.47]}, about_heads)
    assert found[0] == "No head is clearly the best out of domain"
    assert found[1].endswith("The seeds do not tell the first two apart.")


def test_one_seed_is_said_to_prove_nothing(said):
    found = said({("linear", "art"): [0.4], ("nmtune", "art"): [0.9]}, about_heads)
    assert found[0] == "No head is clearly the best out of domain"
    assert "nmtune 90.0 %, linear 40.0 %" in found[1]
    assert found[1].endswith("One seed cannot tell luck from a lead.")


def test_one_head_is_not_compared(said):
    assert said({("linear", "test"): [0.9, 0.9]}, about_heads)[0] == "linear reaches 90.0 ± 0.0 % in domain"


def test_the_gap_is_told_either_way(said):
    assert "From in domain to out of domain a loses 40.0 points." in said(
        {("a", "test"): [0.9], ("a", "art"): [0.5]}, about_heads
    )
    assert "From in domain to out of domain a gains 40.0 points." in said(
        {("a", "test"): [0.5], ("a", "art"): [0.9]}, about_heads
    )


def test_out_of_domain_decides_which_head_is_shown():
    found = rows({("a", "test"): [0.9], ("a", "art"): [0.1], ("b", "test"): [0.8], ("b", "art"): [0.2]})
    assert best_head(found) == "b"
    assert best_head([row for row in found if row.domain == "id"]) == "a"


def test_how_many_labels_are_wrong_is_told(said):
    scores = {("a", "test"): [0.5]}
    wide = NoiseRateCard(rate=0.08, low=0.05, high=0.175, num_examples=400)
    found = [
        line for line in said(scores, noise_rate=wide) if line.startswith("Between 5.0 and 17.5 % of the")
    ]
    assert len(found) == 1
    assert found[0].endswith("Check the first 70 by suspicion.")
    none = NoiseRateCard(rate=0.08, low=None, high=None, num_examples=400)
    assert not any("of the labels are wrong" in line for line in said(scores, noise_rate=none))
    assert not any("of the labels are wrong" in line for line in said(scores, noise_rate=None))


def test_suspects_and_the_truth_are_told(fake_run):
    run = load_run(fake_run())
    num_flagged = int(run.issues["is_issue"].sum())
    found = headlines(run)
    assert found[0] == f"{num_flagged} of your 400 labels look wrong"  # the card has no rate
    recall = f"{100 * run.card.detection.recall:.1f}"
    assert any(
        f"labels made wrong on purpose (symmetric noise), {recall} % were found" in sentence
        for sentence in found
    )


@pytest.mark.parametrize(
    ("suspicions", "headline"),
    [
        ((0.9, 0.9, 0.9, 0.6), "4 of your 400 labels look wrong, about 3 of them are"),
        ((0.95, 0.9, 1.0, 0.9), "4 of your 400 labels look wrong, and probably are"),
        ((0.7,), "1 of your 400 labels looks wrong, and probably is"),
        ((0.4,), "None of your 400 labels is more likely wrong than right"),
    ],
)
def test_suspicions_of_flagged_labels_add_up_to_the_number_of_wrong_ones(fake_run, suspicions, headline):
    run = load_run(fake_run(knows_truth=False))
    values = [*suspicions, *[0.2] * (400 - len(suspicions))]
    issues = run.issues.assign(suspicion=values, is_issue=[value > 0.5 for value in values])
    issues["suggested_label"] = issues["given_label"].where(~issues["is_issue"], "another")
    rate = NoiseRateCard(rate=0.1, low=0.1, high=0.1, num_examples=400)
    card = run.card.model_copy(update={"noise_rate": rate})
    assert headlines(dataclasses.replace(run, issues=issues, card=card))[0] == headline


def test_no_suspects_and_no_truth_are_told(fake_run):
    run = load_run(fake_run(knows_truth=False))
    kept = run.issues.assign(is_issue=False)
    found = headlines(dataclasses.replace(run, issues=kept))[0]
    num_others = int((kept["given_label"] != kept["suggested_label"]).sum())
    assert found == (
        "None of your 400 labels is more likely wrong than right; "
        f"for {num_others} the detector prefers another class"
    )
    agreed = kept.assign(suggested_label=kept["given_label"])
    found = headlines(dataclasses.replace(run, issues=agreed))[0]
    assert found == "None of your 400 labels is more likely wrong than right"


def test_a_truth_without_wrong_labels_is_told(said):
    clean = DetectionCard(
        precision=None, recall=None, f1=None, auroc=None, average_precision=None, num_flagged=0, num_wrong=0
    )
    rows_and_card = ({("a", "test"): [0.9]},)
    assert said(*rows_and_card, detection=clean)[-1] == "Of 0 labels made wrong on purpose (symmetric noise)."
    found = said(*rows_and_card, detection=clean, data=[])[-1]
    assert found == "The truth is known here: no label is wrong."


def test_the_tiles_hold_both_domains_the_suspects_and_the_time(fake_run):
    titles = [fact.title for fact in facts(load_run(fake_run()))]
    assert titles == ["Suspect labels", "Accuracy out of domain", "Accuracy in domain", "Time"]


@pytest.mark.parametrize(
    ("wall_s", "text"),
    [
        (0.04, "0.0 s"),
        (9.9, "9.9 s"),
        (59.4, "59 s"),
        (99.6, "1.7 min"),
        (5940.0, "99.0 min"),
        (7200.0, "2.0 h"),
    ],
)
def test_durations_are_told_in_the_unit_that_fits(wall_s, text):
    assert duration(wall_s) == text


def test_the_headline_counts_what_is_decided_and_what_is_left(fake_run):
    run = load_run(fake_run())
    ids = run.issues["example_id"].astype(str)
    flagged = ids[run.issues["is_issue"].astype(bool)].tolist()
    before = headlines(run)[0]
    left = len(flagged) - 2
    assert headlines(run, flagged[:2])[0] == f"{before}; 2 of them are decided, {left} are left"
    some = {*flagged, ids.iloc[-1]}
    assert headlines(run, some)[0].endswith(
        f"; {len(flagged)} of them are decided, 0 are left; 1 other is decided"
    )
