"""The one training loop against a slow obvious one, and against itself in other company."""

import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from noiseproof import LinearProbe, MLPProbe, NMTune
from noiseproof.core.errors import BadData, InvalidArgument
from noiseproof.heads import fit
from noiseproof.heads.abstract import fit_heads
from noiseproof.heads.fit import TrainingExamples, fit_specs, num_steps, objective
from noiseproof.heads.modules import Architecture, StackedHeads
from noiseproof.heads.recipes import RECIPES, HeadSpec, Regularization, Training
from noiseproof.losses.batch import batch_loss

N, D, K = 50, 6, 3


def data(views: int = 1, seed: int = 0):
    rng = np.random.default_rng(seed)
    labels = np.arange(N) % K
    centres = np.eye(K, D)[labels] * 2
    return [(centres + rng.normal(size=(N, D))).astype(np.float32) for _ in range(views)], labels


def examples(views: int = 1) -> TrainingExamples:
    matrices, labels = data(views)
    dtype = torch.get_default_dtype()
    return TrainingExamples(
        tuple(torch.from_numpy(m).to(dtype) for m in matrices), torch.from_numpy(labels), K
    )


@pytest.fixture
def in_float64():
    """AdamW divides a gradient by its own size: one that is zero but for float32 rounding (a bias before
    batch normalisation) would walk at random."""
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def numbers(state) -> np.ndarray:
    return np.concatenate([value.double().numpy().ravel() for _, value in sorted(state.items())])


def short(**options) -> Training:
    return Training(**{"epochs": 2, "batch_size": 16} | options)


# The loss of a step


def loss_of(module, spec, features, labels, num_views=1):
    b = labels.shape[1] // num_views
    training, generators = spec.training, [torch.Generator().manual_seed(0)]
    loss = batch_loss(
        training.loss, training.loss_options, num_examples=b, num_classes=K, generators=generators
    )
    return objective(module, [spec], features, labels, torch.arange(b)[None], loss=loss)


def slow_objective(
    spec: HeadSpec, module: nn.Module, classify: nn.Linear, scale, features, labels, num_views
):
    """The published formulas in float64, for one head on one batch of stacked views."""
    z = module(features)
    if scale is not None:
        z = scale * z + features
    loss = nn.functional.cross_entropy(classify(z), labels)
    r, (vb, d) = spec.regularization, features.shape
    unit = nn.functional.normalize
    if r.is_cross_view:
        b = vb // num_views
        mse = ((unit(z[b : 2 * b]) - unit(features[:b])) ** 2).sum() / (b * d)
    else:
        mse = sum(((unit(z[i : i + 1]) - unit(features[i : i + 1])) ** 2).sum() for i in range(vb)) / vb
    s = torch.linalg.svd(z, full_matrices=False)[1]
    svd = (s / s.sum())[: r.num_singular_values].mean()
    centred = z - z.mean(0)
    c = centred.T @ centred / (vb - 1)
    cov = (c - torch.diag(torch.diag(c))).square().sum() / d
    return loss + r.weight_mse * mse + r.weight_cov * cov - r.weight_svd * svd


def plain_head(module: StackedHeads, architecture: Architecture):
    """The same head as torch's own layers, in the precision of the module."""
    dtype = module.classify.weight.dtype

    def linear(stacked):
        layer = nn.Linear(stacked.weight.shape[2], stacked.weight.shape[1], dtype=dtype)
        layer.weight.data, layer.bias.data = stacked.weight.data[0].clone(), stacked.bias.data[0].clone()
        return layer

    layers: list[nn.Module] = []
    if architecture.hidden_layers:
        for hidden in module.reshape.hidden:
            layers.append(linear(hidden))
            if architecture.use_batch_norm:
                layers.append(nn.BatchNorm1d(hidden.weight.shape[1], dtype=dtype))
            layers.append(nn.ReLU())
        layers.append(linear(module.reshape.out))
    scale = None
    if architecture.use_residual and architecture.hidden_layers:
        scale = nn.Parameter(module.reshape.scale.data[0, 0].clone())
    return nn.Sequential(*layers), linear(module.classify), scale


@pytest.mark.parametrize(("recipe", "num_views"), [("paper", 1), ("paper", 2), ("released", 2)])
def test_loss_equals_the_published_formulas(recipe, num_views):
    spec = RECIPES[recipe]
    generator = torch.Generator().manual_seed(0)
    module = StackedHeads(D, K, spec.architecture, generators=[generator]).double().train()
    features = torch.randn(1, 7 * num_views, D, generator=generator, dtype=torch.float64)
    labels = torch.randint(K, (1, 7), generator=generator).repeat(1, num_views)
    found = loss_of(module, spec, features, labels, num_views)
    layers, classify, scale = plain_head(module, spec.architecture)
    expected = slow_objective(spec, layers, classify, scale, features[0], labels[0], num_views)
    assert found.tolist() == pytest.approx([expected.item()], rel=1e-10)


def released(**weights) -> HeadSpec:
    none = {"weight_mse": 0.0, "weight_cov": 0.0, "weight_svd": 0.0}
    return replace(
        RECIPES["released"], regularization=replace(RECIPES["released"].regularization, **none | weights)
    )


def test_released_consistency_compares_view_two_with_view_one():
    """Only z of the second view and f of the first count; hand-made so that any other pairing shows."""
    spec = released(weight_mse=1.0)
    module = StackedHeads(
        2, 2, Architecture(1, 4.0, use_residual=True), generators=[torch.Generator()]
    ).double()
    module.reshape.scale.data.zero_()  # z is f
    first, second = torch.tensor([[1.0, 0.0], [0.0, 3.0]]), torch.tensor([[0.0, 2.0], [0.0, 4.0]])
    features = torch.cat([first, second])[None].double()
    labels = torch.tensor([[0, 1, 0, 1]])
    plain = loss_of(module, released(), features, labels, 2)
    found = loss_of(module, spec, features, labels, 2)
    # Example 0 turned by 90 degrees (2), example 1 not at all; the mean over 2 examples and 2 features.
    assert (found - plain).item() == pytest.approx(2 / 4)


def test_paper_consistency_compares_each_row_with_itself():
    spec = replace(RECIPES["paper"], regularization=Regularization(weight_mse=1.0))
    architecture = Architecture(1, 4.0, use_residual=True, residual_scale=0.0)
    module = StackedHeads(2, 2, architecture, generators=[torch.Generator()]).double()
    features = torch.tensor([[[1.0, 0.0], [0.0, 3.0], [0.0, 2.0], [5.0, 4.0]]]).double()
    labels = torch.tensor([[0, 1, 0, 1]])
    plain = loss_of(module, replace(spec, regularization=Regularization()), features, labels)
    assert (loss_of(module, spec, features, labels) - plain).item() == pytest.approx(0.0, abs=1e-12)


def test_dominance_is_maximised_and_covariance_minimised():
    module = StackedHeads(D, K, Architecture(), generators=[torch.Generator().manual_seed(1)])
    features = torch.from_numpy(data()[0][0])[None, :20]
    labels = (torch.arange(20) % K)[None]
    plain = loss_of(module, HeadSpec(), features, labels)
    for name, sign in (("weight_svd", -1), ("weight_cov", 1), ("weight_mse", 1)):
        spec = HeadSpec(regularization=Regularization(**{name: 0.5}))
        assert (loss_of(module, spec, features, labels) - plain).item() * sign > 0


def test_recipes_hold_the_published_values_and_differ_in_all_of_them():
    paper, code = RECIPES["paper"], RECIPES["released"]
    assert paper.regularization == Regularization(
        0.01, 0.01, 0.01, num_singular_values=1, is_cross_view=False
    )
    assert code.regularization == Regularization(1.0, 0.04, 0.001, num_singular_values=5, is_cross_view=True)
    assert paper.architecture == Architecture(1, 4.0, "relu", use_batch_norm=False, use_residual=False)
    assert code.architecture == Architecture(
        1, 4.0, "relu", use_batch_norm=True, use_residual=True, residual_scale=1.0
    )


@pytest.mark.parametrize("recipe", ["paper", "released", "default"])
def test_a_head_takes_all_of_its_recipe_and_nothing_of_another(recipe):
    assert NMTune(recipe=recipe).spec().regularization == RECIPES[recipe].regularization
    assert NMTune(recipe=recipe).spec().architecture == RECIPES[recipe].architecture
    assert MLPProbe(recipe=recipe).spec().architecture == RECIPES[recipe].architecture
    assert MLPProbe(recipe=recipe).spec().regularization == Regularization()
    one_changed = NMTune(recipe=recipe, weight_cov=0.5).spec().regularization
    assert one_changed == replace(RECIPES[recipe].regularization, weight_cov=0.5)


# The loop


@pytest.mark.parametrize(
    ("spec", "num_views"),
    [
        (HeadSpec(Architecture(hidden_layers=0), training=short(learning_rate=0.01, weight_decay=0.1)), 1),
        (replace(RECIPES["paper"], training=short(learning_rate=0.003, decay="linear", warmup_steps=3)), 1),
        (replace(RECIPES["released"], training=short(weight_decay=0.05)), 2),
        (HeadSpec(Architecture(2), training=short(epochs=3, max_steps=5)), 1),
    ],
)
@pytest.mark.usefixtures("in_float64")
def test_loop_equals_a_slow_one_with_torch_layers_and_adamw(spec, num_views, monkeypatch):
    spec = replace(spec, seed=5)
    batches: list[torch.Tensor] = []
    first: list[StackedHeads] = []
    objective_of_loop = fit.objective

    def spy(module, specs, features, labels, index, *, loss):
        if not first:
            first.append(plain_head(module, spec.architecture))
        batches.append((features[0].clone(), labels[0].clone()))
        return objective_of_loop(module, specs, features, labels, index, loss=loss)

    monkeypatch.setattr(fit, "objective", spy)
    (state,) = fit_specs([spec], examples(num_views))

    layers, classify, scale = first[0]
    t = spec.training
    parameters = [*layers.parameters(), *classify.parameters(), *([scale] if scale is not None else [])]
    optimizer = torch.optim.AdamW(parameters, lr=t.learning_rate, weight_decay=t.weight_decay)
    for step, (features, labels) in enumerate(batches):
        past = step - t.warmup_steps
        part = past / (len(batches) - t.warmup_steps)
        falling = (1 + math.cos(math.pi * part)) / 2 if t.decay == "cosine" else 1 - part
        rate = t.learning_rate * (falling if past >= 0 else (step + 1) / t.warmup_steps)
        optimizer.param_groups[0]["lr"] = rate
        optimizer.zero_grad()
        slow_objective(spec, layers, classify, scale, features, labels, num_views).backward()
        optimizer.step()
    assert len(batches) == (3 if t.max_steps else 8)  # bounded, 3 x 4 steps of 16 become 3 x 1 of 64
    assert state["classify.weight"].numpy() == pytest.approx(classify.weight.detach().numpy(), abs=1e-10)
    assert state["classify.bias"].numpy() == pytest.approx(classify.bias.detach().numpy(), abs=1e-10)
    if spec.architecture.hidden_layers:
        assert state["reshape.out.weight"].numpy() == pytest.approx(
            layers[-1].weight.detach().numpy(), abs=1e-10
        )
        assert state["reshape.hidden.0.weight"].numpy() == pytest.approx(
            layers[0].weight.detach().numpy(), abs=1e-10
        )
    if scale is not None:
        assert state["reshape.scale"].numpy().ravel() == pytest.approx(scale.detach().numpy(), abs=1e-10)
        assert state["reshape.norms.0.running_mean"].numpy() == pytest.approx(
            layers[1].running_mean.numpy(), abs=1e-10
        )


def test_every_epoch_sees_each_example_once_in_every_view(monkeypatch):
    seen: list[list[int]] = []
    rows = {tuple(row): i for i, row in enumerate(data(2)[0][0].tolist())}
    partners = {tuple(row): i for i, row in enumerate(data(2)[0][1].tolist())}
    original = fit.objective

    def spy(module, specs, features, labels, index, *, loss):
        b = features.shape[1] // 2
        first = [rows[tuple(row)] for row in features[0, :b].tolist()]
        assert [partners[tuple(row)] for row in features[0, b:].tolist()] == first
        assert labels[0].tolist() == [i % K for i in first] * 2
        assert index[0].tolist() == first
        seen.append(first)
        return original(module, specs, features, labels, index, loss=loss)

    monkeypatch.setattr(fit, "objective", spy)
    fit_specs([HeadSpec(training=short(epochs=3))], examples(2))
    assert len(seen) == 12
    assert all(len(batch) in (12, 13) for batch in seen)
    epochs = [[row for batch in seen[i : i + 4] for row in batch] for i in (0, 4, 8)]
    assert all(sorted(epoch) == list(range(N)) for epoch in epochs)
    assert epochs[0] != epochs[1] != epochs[2]


def test_all_weights_zero_is_the_mlp_probe_and_computes_no_regulariser(monkeypatch):
    def forbidden(*args, **kwargs):
        raise AssertionError("a regulariser was computed")

    (features,), labels = data()
    monkeypatch.setattr(fit, "consistency", forbidden)
    monkeypatch.setattr(fit, "spectral_regularizers", forbidden)
    mlp = MLPProbe(epochs=2, seed=3).fit(features, labels)
    zero = NMTune(epochs=2, seed=3, weight_mse=0.0, weight_cov=0.0, weight_svd=0.0).fit(features, labels)
    assert numbers(zero.state_).tobytes() == numbers(mlp.state_).tobytes()
    with pytest.raises(AssertionError, match="a regulariser was computed"):
        NMTune(epochs=1).fit(features, labels)


@pytest.mark.parametrize(
    ("weight", "name"), [("weight_mse", "spectral_regularizers"), ("weight_svd", "consistency")]
)
def test_a_term_without_weight_is_not_computed(weight, name, monkeypatch):
    def forbidden(*args, **kwargs):
        raise AssertionError("not asked for")

    monkeypatch.setattr(fit, name, forbidden)
    weights = {"weight_mse": 0.0, "weight_cov": 0.0, "weight_svd": 0.0} | {weight: 0.1}
    (features,), labels = data()
    assert np.isfinite(numbers(NMTune(epochs=1, **weights).fit(features, labels).state_)).all()


@pytest.mark.parametrize("weight", ["weight_mse", "weight_cov", "weight_svd"])
def test_each_weight_changes_what_is_learnt(weight):
    (features,), labels = data()
    none = {"weight_mse": 0.0, "weight_cov": 0.0, "weight_svd": 0.0}
    plain = NMTune(epochs=2, **none).fit(features, labels)
    weighted = NMTune(epochs=2, **none | {weight: 1.0}).fit(features, labels)
    assert abs(numbers(plain.state_) - numbers(weighted.state_)).max() > 1e-4


# Company


ARCHITECTURES = [
    Architecture(hidden_layers=0),
    Architecture(),
    Architecture(2, use_batch_norm=True, use_residual=True, dropout=0.3),
]


@pytest.mark.usefixtures("in_float64")
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_stack_of_seeds_equals_separate_fits(architecture):
    check_stack_of_seeds(architecture, tolerance=1e-10)


@pytest.mark.parametrize("architecture", ARCHITECTURES[:2])
def test_a_stack_of_seeds_equals_separate_fits_in_float32(architecture):
    check_stack_of_seeds(architecture, tolerance=1e-5)


def check_stack_of_seeds(architecture, tolerance):
    terms = RECIPES["paper"].regularization if architecture.hidden_layers else Regularization()
    specs = [HeadSpec(architecture, terms, short(), seed) for seed in (0, 1, 2)]
    together = fit._fit_stack(specs, examples(), None)
    for spec, state in zip(specs, together, strict=True):
        (alone,) = fit_specs([spec], examples())
        assert list(state) == list(alone)
        assert numbers(state) == pytest.approx(numbers(alone), abs=tolerance)
    assert abs(numbers(together[0]) - numbers(together[1])).max() > 1e-2


def test_members_of_a_stack_keep_their_own_rates_decays_and_weights():
    specs = [
        HeadSpec(
            Architecture(), Regularization(0.0, 0.0, 0.3), short(learning_rate=1e-2, weight_decay=0.0), 1
        ),
        HeadSpec(
            Architecture(), Regularization(0.5, 0.0, 0.0), short(learning_rate=1e-3, weight_decay=0.5), 1
        ),
        HeadSpec(
            Architecture(), Regularization(0.0, 2.0, 0.0), short(learning_rate=3e-4, weight_decay=0.1), 2
        ),
    ]
    together = fit._fit_stack(specs, examples(), None)
    for spec, state in zip(specs, together, strict=True):
        (alone,) = fit_specs([spec], examples())
        assert numbers(state) == pytest.approx(numbers(alone), abs=1e-5)


def test_results_do_not_depend_on_order_or_company():
    heads = [
        HeadSpec(Architecture(hidden_layers=0), training=short(learning_rate=0.01), seed=1),
        HeadSpec(Architecture(), RECIPES["paper"].regularization, short(), 0),
        HeadSpec(Architecture(hidden_layers=0), training=short(learning_rate=0.1), seed=2),
        HeadSpec(Architecture(), Regularization(), short(), 0),
        HeadSpec(Architecture(hidden_layers=0), training=short(epochs=1), seed=1),
    ]
    forward = fit_specs(heads, examples())
    backward = fit_specs(heads[::-1], examples())[::-1]
    for spec, one, other in zip(heads, forward, backward, strict=True):
        (alone,) = fit_specs([spec], examples())
        assert numbers(one) == pytest.approx(numbers(other), abs=1e-5)
        assert numbers(one) == pytest.approx(numbers(alone), abs=1e-5)


def test_recipes_in_one_call_are_not_mixed():
    (first, second), labels = data(2)
    kinds = ("paper", "released", "paper", "released")
    heads = [NMTune(recipe=recipe, epochs=2, seed=i // 2) for i, recipe in enumerate(kinds)]
    fit_heads(heads, first, labels, second_view=second)
    for i, (recipe, head) in enumerate(zip(kinds, heads, strict=True)):
        alone = NMTune(recipe=recipe, epochs=2, seed=i // 2).fit(first, labels, second_view=second)
        assert numbers(head.state_) == pytest.approx(numbers(alone.state_), abs=1e-5)
        assert ("reshape.norms.0.running_mean" in head.state_) == (recipe == "released")


@pytest.mark.parametrize("head", [LinearProbe, MLPProbe, NMTune])
def test_seed_decides_everything(head):
    (features,), labels = data()
    torch.manual_seed(1)
    one = head(epochs=2, seed=4).fit(features, labels)
    torch.manual_seed(2)
    again = head(epochs=2, seed=4).fit(features, labels)
    other = head(epochs=2, seed=5).fit(features, labels)
    assert numbers(one.state_).tobytes() == numbers(again.state_).tobytes()
    assert abs(numbers(one.state_) - numbers(other.state_)).max() > 1e-3


def test_heads_that_are_fitted_leave_the_global_generator_alone():
    (features,), labels = data()
    before = torch.get_rng_state()
    MLPProbe(epochs=1, dropout=0.5).fit(features, labels)
    assert torch.equal(torch.get_rng_state(), before)


def test_seeds_share_neither_weights_nor_batches(monkeypatch):
    batches = []
    original = fit.objective

    def spy(module, specs, features, labels, index, *, loss):
        batches.append(features.clone())
        return original(module, specs, features, labels, index, loss=loss)

    monkeypatch.setattr(fit, "objective", spy)
    specs = [HeadSpec(Architecture(hidden_layers=0), training=short(), seed=seed) for seed in (0, 1)]
    fit_specs(specs, examples())
    assert len(batches) == 8  # trained together
    assert all(not torch.equal(batch[0], batch[1]) for batch in batches)


# Views, bounds, progress


def test_second_view_reaches_every_head():
    (first, second), labels = data(2)
    for head in (LinearProbe(epochs=2), MLPProbe(epochs=2), NMTune(epochs=2)):
        one = numbers(head.fit(first, labels).state_)
        two = numbers(head.fit(first, labels, second_view=second).state_)
        assert abs(one - two).max() > 1e-4


def test_released_recipe_without_a_second_view_is_refused():
    (features,), labels = data()
    with pytest.raises(
        BadData, match=r"'released' compares two augmented views; `second_view` is None.*`weight_mse`"
    ):
        NMTune(recipe="released").fit(features, labels)
    NMTune(recipe="released", weight_mse=0.0, epochs=1).fit(features, labels)
    MLPProbe(recipe="released", epochs=1).fit(features, labels)


@pytest.mark.parametrize("shape", [(N, D - 1), (N - 1, D), (N + 1, D)])
def test_second_view_of_another_shape_is_refused(shape):
    (features,), labels = data()
    with pytest.raises(
        BadData, match=rf"`second_view` has shape \({shape[0]}, {shape[1]}\), the features \({N}, {D}\)"
    ):
        NMTune(epochs=1).fit(features, labels, second_view=np.ones(shape))


def test_second_view_with_columns_in_another_order_is_refused():
    (features,), labels = data()
    first = pd.DataFrame(features, columns=[f"x{i}" for i in range(D)])
    with pytest.raises(BadData, match=r"`second_view` has the columns x\d, .*, the features x0, x1"):
        NMTune(epochs=1).fit(first, labels, second_view=first[first.columns[::-1]])
    for second in (first, features, pd.DataFrame(features)):
        NMTune(epochs=1).fit(first, labels, second_view=second)


def test_second_view_that_is_not_finite_names_its_row():
    (features, second), labels = data(2)
    second[9, 1] = np.nan
    with pytest.raises(BadData, match="`second_view` has NaN or infinity in row 9 "):
        NMTune(epochs=1).fit(features, labels, second_view=second)


def test_progress_counts_the_planned_steps_of_every_head():
    specs = [
        HeadSpec(Architecture(hidden_layers=0), training=short(), seed=0),
        HeadSpec(Architecture(hidden_layers=0), training=short(), seed=1),
        HeadSpec(Architecture(), training=short(epochs=3)),
        HeadSpec(Architecture(), training=short(epochs=30, max_steps=7)),
    ]
    taken: list[int] = []
    fit_specs(specs, examples(), on_step=taken.append)
    assert sum(taken) == num_steps(specs, N)
    assert num_steps(specs[:3], N) == 8 + 8 + 12
    assert 0 < num_steps(specs[3:], N) <= 7


@pytest.mark.parametrize("head", [MLPProbe, NMTune])
def test_divergence_names_the_learning_rate(head):
    (features,), labels = data()
    with pytest.raises(
        InvalidArgument, match=r"Training diverged with `learning_rate` 1e\+30 \(seed 2\).*a tenth"
    ):
        head(learning_rate=1e30, epochs=3, seed=2).fit(features, labels)


@pytest.mark.parametrize("head", [LinearProbe, MLPProbe, NMTune])
def test_heads_learn_what_can_be_learnt(head):
    (train, test), labels = data(2)
    # Chance is 1/3 with a standard error of 0.07.
    assert head(learning_rate=0.01, batch_size=10).fit(train, labels).score(test, labels) > 0.65


def test_short_steps_take_one_thread_and_leave_the_number_as_it_was():
    seen = []
    torch.set_num_threads(2)  # the module's fixture sets it back
    try:
        fit_specs(
            [HeadSpec(training=short())], examples(), on_step=lambda _: seen.append(torch.get_num_threads())
        )
        assert (set(seen), torch.get_num_threads()) == ({1}, 2)
    finally:
        torch.set_num_threads(1)


def test_a_step_is_as_long_as_its_largest_product():
    spec = replace(RECIPES["paper"], training=short(batch_size=25))
    module = StackedHeads(D, K, spec.architecture, generators=[torch.Generator(), torch.Generator()])
    assert fit._largest_product(module, examples(views=2), spec) == 2 * 2 * 25 * D * 4 * D
