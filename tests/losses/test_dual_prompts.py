"""DeFT's losses by hand, against a slow loop, and where their gradients go."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from noiseproof.core.errors import UnknownName
from noiseproof.losses.dual_prompts import (
    LEAST_PROB,
    EpochRules,
    PromptLogits,
    complementary_labels,
    dual_prompt_loss,
    epoch_rules,
    prompt_logits,
    selected,
)

WARMUP, AFTER = (
    EpochRules(is_warmup=True, is_relabelled=False),
    EpochRules(is_warmup=False, is_relabelled=True),
)

# p_yes is (3/4, 1/2) for the first image and (1/5, 9/10) for the second; both are given class 0.
POSITIVE = torch.tensor([[math.log(3), 0.0], [0.0, math.log(3)]], dtype=torch.float64)
NEGATIVE = torch.tensor([[0.0, 0.0], [math.log(4), math.log(1 / 3)]], dtype=torch.float64)
LOGITS = PromptLogits(POSITIVE, NEGATIVE)
GIVEN, OTHER = torch.tensor([0, 0]), torch.tensor([1, 1])


def test_warmup_by_hand():
    found = dual_prompt_loss(LOGITS, GIVEN, OTHER, rules=WARMUP, variant="synthetic")
    assert found.is_clean.tolist() == [True, False]
    assert found.classification.item() == pytest.approx((math.log(4 / 3) + math.log(4)) / 2)
    # -ln p_no of class 1, then -ln p_yes of class 0.
    expected = (math.log(2) + math.log(10)) / 2 + (math.log(4 / 3) + math.log(5)) / 2
    assert found.negative.item() == pytest.approx(expected)
    assert found.total.item() == pytest.approx(found.classification.item() + expected)


def test_after_the_warmup_by_hand():
    found = dual_prompt_loss(LOGITS, GIVEN, OTHER, rules=AFTER, variant="synthetic")
    assert found.classification.item() == pytest.approx(math.log(4 / 3))  # of the first alone
    expected = (math.log(2) + math.log(10)) / 2 + (math.log(4 / 3) + math.log(10 / 9)) / 2
    assert found.negative.item() == pytest.approx(expected)


def test_the_warmup_of_the_real_variant_by_hand():
    found = dual_prompt_loss(LOGITS, GIVEN, OTHER, rules=WARMUP, variant="real")
    reverse = -math.log(1e-4) * (1 / 4 + 3 / 4) / 2
    assert found.classification.item() == pytest.approx((math.log(4 / 3) + math.log(4)) / 2 + reverse)


def test_the_real_variant_also_wants_the_given_class_to_be_the_likeliest():
    log_odds = torch.tensor([[1.0, 2.0], [1.0, 0.5], [-1.0, -2.0]])
    labels = torch.tensor([0, 0, 0])
    assert selected(log_odds, labels, variant="synthetic").tolist() == [True, True, False]
    assert selected(log_odds, labels, variant="real").tolist() == [False, True, False]


@pytest.mark.parametrize(
    ("variant", "epoch", "expected"),
    [
        ("synthetic", 1, (True, False)),
        ("synthetic", 2, (True, False)),
        ("synthetic", 3, (False, True)),
        ("real", 1, (True, False)),
        ("real", 2, (True, True)),
        ("real", 3, (False, True)),
    ],
)
def test_stages_of_a_warmup_of_two_epochs(variant, epoch, expected):
    rules = epoch_rules(variant, epoch, warmup_epochs=2)
    assert (rules.is_warmup, rules.is_relabelled) == expected


def slow_loss(z_pos, z_neg, labels, others, *, is_warmup, is_relabelled, variant):
    classification, negative, num = 0.0, 0.0, 0
    for p, m, y, c in zip(z_pos, z_neg, labels, others, strict=True):
        yes = [math.exp(a) / (math.exp(a) + math.exp(b)) for a, b in zip(p, m, strict=True)]
        is_clean = yes[y] > 0.5 and (variant == "synthetic" or yes[y] == max(yes))
        target = p.index(max(p)) if is_relabelled and not is_clean else y
        negative -= math.log(max(1 - yes[c], LEAST_PROB)) + math.log(max(yes[target], LEAST_PROB))
        probs = [math.exp(a) / sum(map(math.exp, p)) for a in p]
        if is_warmup or is_clean:
            num += 1
            classification -= math.log(probs[y])
            if is_warmup and variant == "real":
                classification -= sum(q * math.log(1e-4) for j, q in enumerate(probs) if j != y)
    return classification / max(num, 1), negative / len(labels)


@pytest.mark.parametrize("variant", ["synthetic", "real"])
@pytest.mark.parametrize("epoch", [1, 2, 3])
def test_equals_a_slow_loop(variant, epoch):
    generator = torch.Generator().manual_seed(epoch)
    z_pos, z_neg = (5 * torch.randn(2, 40, 4, generator=generator, dtype=torch.float64)).unbind()
    labels = torch.arange(40) % 4
    others = torch.from_numpy(
        complementary_labels(labels.numpy(), num_classes=4, rng=np.random.default_rng(0))
    )
    rules = epoch_rules(variant, epoch, warmup_epochs=1)
    found = dual_prompt_loss(PromptLogits(z_pos, z_neg), labels, others, rules=rules, variant=variant)
    expected = slow_loss(
        z_pos.tolist(), z_neg.tolist(), labels.tolist(), others.tolist(),
        is_warmup=rules.is_warmup, is_relabelled=rules.is_relabelled, variant=variant,
    )  # fmt: skip
    assert (found.classification.item(), found.negative.item()) == pytest.approx(expected)


def some_directions(seed=0):
    """Unit features of 6 images, and unit directions of 3 classes, all of which may learn."""
    generator = torch.Generator().manual_seed(seed)
    rows = torch.randn(12, 5, generator=generator, dtype=torch.float64)
    return [
        part.clone().requires_grad_() for part in torch.nn.functional.normalize(rows, dim=-1).split([6, 3, 3])
    ]


LABELS, OTHERS = torch.tensor([0, 1, 2, 0, 1, 2]), torch.tensor([1, 2, 0, 2, 0, 1])


@pytest.mark.parametrize("rules", [WARMUP, AFTER])
@pytest.mark.parametrize("variant", ["synthetic", "real"])
def test_each_term_trains_its_own_prompts(rules, variant):
    parts = some_directions()
    found = dual_prompt_loss(prompt_logits(*parts, scale=5.0), LABELS, OTHERS, rules=rules, variant=variant)
    assert found.is_clean.any()
    for term, learns in ((found.classification, (True, True, False)), (found.negative, (False, False, True))):
        gradients = torch.autograd.grad(term, parts, allow_unused=True, retain_graph=True)
        assert [g is not None and bool(g.any()) for g in gradients] == list(learns)


@pytest.mark.parametrize("rules", [WARMUP, AFTER])
def test_gradients_equal_finite_differences(rules):
    features, positive, negative = some_directions()

    def classification(features, positive):
        logits = prompt_logits(features, positive, negative, scale=5.0)
        return dual_prompt_loss(logits, LABELS, OTHERS, rules=rules, variant="synthetic").classification

    def of_negative(negative):
        logits = prompt_logits(features, positive, negative, scale=5.0)
        return dual_prompt_loss(logits, LABELS, OTHERS, rules=rules, variant="synthetic").negative

    assert torch.autograd.gradcheck(classification, (features, positive))
    assert torch.autograd.gradcheck(of_negative, (negative,))


@pytest.mark.parametrize("variant", ["synthetic", "real"])
def test_nothing_selected_costs_nothing_and_is_no_nan(variant):
    parts = some_directions()
    with torch.no_grad():
        parts[2].copy_(parts[0][:3] + 100 * parts[1])  # negative prompts that win for every class
        parts[0].copy_(parts[1][LABELS])
    logits = prompt_logits(*parts, scale=5.0)
    found = dual_prompt_loss(logits, LABELS, OTHERS, rules=AFTER, variant=variant)
    assert not found.is_clean.any()
    assert found.classification.item() == 0.0
    found.total.backward()
    assert all(torch.isfinite(part.grad).all() for part in parts)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.floats(-(2.0**99), 2.0**99, width=32), min_size=12, max_size=12),
    st.sampled_from(["synthetic", "real"]),
    st.sampled_from([WARMUP, AFTER]),
)
def test_extreme_logits_give_finite_losses_and_gradients(values, variant, rules):
    z_pos, z_neg = torch.tensor(values).view(2, 3, 2)
    z_pos.requires_grad_(), z_neg.requires_grad_()
    found = dual_prompt_loss(
        PromptLogits(z_pos, z_neg), torch.tensor([0, 1, 0]), torch.tensor([1, 0, 1]),
        rules=rules, variant=variant,
    )  # fmt: skip
    assert torch.isfinite(found.total)
    assert found.classification.item() >= 0
    assert 0 <= found.negative.item() <= -2 * math.log(LEAST_PROB) + 1e-4
    found.total.backward()
    assert torch.isfinite(z_pos.grad).all()
    assert torch.isfinite(z_neg.grad).all()


def test_complementary_labels_are_uniform_over_the_other_classes():
    labels = np.repeat(np.arange(3), 20_000)
    drawn = complementary_labels(labels, num_classes=3, rng=np.random.default_rng(0))
    counts = np.zeros((3, 3))
    np.add.at(counts, (labels, drawn), 1)
    np.testing.assert_allclose(counts / 20_000, 0.5 * (1 - np.eye(3)), atol=0.02)
    again = complementary_labels(labels, num_classes=3, rng=np.random.default_rng(1))
    assert (drawn != again).any()


def test_an_unknown_variant_is_named():
    with pytest.raises(UnknownName, match=r"Unknown variant 'synthetik'. Did you mean 'synthetic'\?"):
        epoch_rules("synthetik", 1, warmup_epochs=1)
