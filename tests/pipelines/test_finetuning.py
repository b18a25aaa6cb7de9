import json
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from typer.testing import CliRunner

import noiseproof
from changed import changed
from noiseproof import FinetuneConfig, open_dataset
from noiseproof.backbones.backbones import open_backbone
from noiseproof.cli.main import app
from noiseproof.config.values import load_config
from noiseproof.core.errors import BadData, CheckpointMismatch, InvalidArgument, UnknownName
from noiseproof.core.storage.checksums import read_record
from noiseproof.core.torchvision_ops import declare_missing_operators
from noiseproof.evaluate.results import read_results
from noiseproof.noise.manifest import load_manifest
from noiseproof.pipelines.finetune import finetune as finetune_aloud
from tiny_images import image_folder

declare_missing_operators()
pytest.importorskip("timm")
pytest.importorskip("accelerate")
finetune = partial(finetune_aloud, quiet=True)
SMALL = {"epochs": 2, "batch_size": 4, "padding": 1, "validation": 0.2, "learning_rate": 0.05}


@pytest.fixture
def config(tmp_path):
    train, test = image_folder(tmp_path / "train"), image_folder(tmp_path / "test", per_class=4, seed=1)
    return FinetuneConfig(
        train=train, test=test, out=tmp_path / "out", backbone="zoo:resnet8-noise20", **SMALL
    )


def loaded(config, *overrides, **options):
    """The configuration of a command with this data and these options."""
    data = {name: getattr(config, name) for name in ("train", "test", "out", "backbone")}
    settings = [f"{name}={value}" for name, value in SMALL.items()]
    return load_config(FinetuneConfig, options=data | options, overrides=[*settings, *overrides])


def weights(folder, name="model.safetensors"):
    return load_file(Path(folder) / name)


def same(one, other):
    return one.keys() == other.keys() and all(torch.equal(value, other[name]) for name, value in one.items())


def test_a_fine_tuned_encoder_classifies_as_its_evaluation_did(config):
    finetune(config)
    model = noiseproof.load(config.out, cache=config.out.parent / "cache", engine="torch")
    assert model.is_calibrated
    found = model.predict(config.test)
    truth = [name.partition("/")[0] for name in found["example_id"]]
    row = next(row for row in read_results(config.out / "results.jsonl") if row.head == "tuned-best")
    assert (found["prediction"] == truth).mean() == row.metrics["accuracy"]


def test_a_card_says_what_was_tuned_and_how_it_was_selected(config):
    noisy = changed(config, noise="symmetric:0.25")
    card = finetune(noisy)
    assert card == read_record(config.out / "card.json", next_step="")
    assert card["noise"]["realised_rate"] == 0.25
    assert card["noise"]["manifest_sha256"] == load_manifest(config.out / "noise").sha256
    assert card["train"]["num_examples"] == 20  # of 24; 2 of each given class are held out
    assert card["validation"]["num_examples"] == card["selection"]["num_examples"] == 4
    assert [each["step"] for each in card["selection"]["validations"]] == [5, 10]
    assert card["num_steps"] == 10
    assert card["learning"]["parameters"] == card["learning"]["of"]
    assert card["versions"]["timm"]
    assert card["notes"]
    rows = read_results(config.out / "results.jsonl")
    assert [(row.head, row.num_examples) for row in rows] == [("tuned-best", 8), ("tuned-last", 8)]
    assert card["results"]["tuned-last"] == {"test": rows[1].metrics["accuracy"]}
    assert not list(config.out.glob("candidate-*"))
    assert not (config.out / "checkpoint.safetensors").exists()


def test_tuning_learns_bright_from_dark(config):
    card = finetune(changed(config, epochs=8))
    assert card["results"]["tuned-last"] == {"test": 1.0}


def test_the_same_seed_gives_the_same_bytes_and_another_does_not(config, tmp_path):
    found = []
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        finetune(changed(config, out=tmp_path / name, seed=seed))
        found.append((tmp_path / name / "last.safetensors").read_bytes())
    assert found[0] == found[1] != found[2]


def test_test_labels_change_neither_the_weights_nor_the_step_that_is_kept(config, tmp_path):
    paths = sorted((tmp_path / "test").glob("*/*.png"))
    table = pd.DataFrame(
        {"image": [str(path) for path in paths], "label": [path.parent.name for path in paths]}
    )
    cards = []
    for name, labels in (("right", table["label"]), ("turned", table["label"].to_numpy()[::-1])):
        table.assign(label=labels).to_csv(tmp_path / f"{name}.csv", index=False)
        test = str(tmp_path / f"{name}.csv")
        noisy = changed(config, test=test, out=tmp_path / name, noise="symmetric:0.25")
        cards.append(finetune(changed(noisy, epochs=6)))
    assert cards[0]["selection"] == cards[1]["selection"]
    for name in ("model.safetensors", "last.safetensors"):
        assert (tmp_path / "right" / name).read_bytes() == (tmp_path / "turned" / name).read_bytes()
    one, other = (card["results"]["tuned-last"] for card in cards)
    assert sum(one.values()) + sum(other.values()) == pytest.approx(1.0)  # the labels did count there


def test_the_selection_is_by_the_given_labels_not_by_the_true_ones(config, tmp_path):
    paths = sorted((tmp_path / "train").glob("*/*.png"))
    clean = np.array([path.parent.name for path in paths])
    given = np.where(np.arange(len(clean)) % 2, np.where(clean == "dark", "light", "dark"), clean)
    columns = {"image": [str(path) for path in paths], "label": given}
    weights_of = []
    for name, truth in (("a", clean), ("b", given)):
        pd.DataFrame(columns | {"truth": truth}).to_csv(tmp_path / "t.csv", index=False)
        mine = changed(
            config, train=str(tmp_path / "t.csv"), label="label", clean_label="truth", test_label=None
        )
        finetune(changed(mine, out=tmp_path / name, test=None))
        weights_of.append((tmp_path / name / "model.safetensors").read_bytes())
    assert weights_of[0] == weights_of[1]


def test_a_finished_tuning_is_not_done_again_and_another_is_refused(config):
    first = finetune(config)
    before = (config.out / "model.safetensors").stat().st_mtime_ns
    assert finetune(config) == first
    with pytest.raises(
        CheckpointMismatch, match=r"finished training with other settings \(settings.epochs\)"
    ):
        finetune(changed(config, epochs=3))
    assert (config.out / "model.safetensors").stat().st_mtime_ns == before


def test_other_evaluation_sets_are_evaluated_without_training_again(config, tmp_path):
    finetune(config)
    before = (config.out / "model.safetensors").stat().st_mtime_ns
    ood = image_folder(tmp_path / "phone", per_class=3, seed=2)
    card = finetune(changed(config, ood=(ood,), wise_ft=(0.5,)))
    assert (config.out / "model.safetensors").stat().st_mtime_ns == before
    rows = {(row.head, row.set_name): row.domain for row in read_results(config.out / "results.jsonl")}
    assert rows["wise-ft-0.5", "phone"] == "ood"
    assert rows["tuned-best", "test"] == "id"
    assert len(rows) == 6
    assert any("linear probe" in note for note in card["notes"])


def test_the_ends_of_the_line_are_the_probe_and_the_tuned_network(config):
    card = finetune(changed(config, head_init="probe", wise_ft=(0.0, 1.0)))
    rows = {row.head: row for row in read_results(config.out / "results.jsonl")}
    assert rows["wise-ft-1"].metrics == rows["tuned-best"].metrics
    # At 0 it is the frozen backbone under a linear probe of the training part.
    from noiseproof.heads.estimators import LinearProbe

    backbone, data, test = (
        open_backbone(config.backbone),
        open_dataset(config.train),
        open_dataset(config.test),
    )
    ids = card["validation"]["num_examples"], card["train"]["num_examples"]
    assert ids == (4, 20)
    from noiseproof.data.splits import stratified_split

    rows_of, _ = stratified_split(data.given_labels, test_fraction=0.2, seed=0)

    def features(dataset, chosen):
        return backbone.encode(np.stack([backbone.prepare(dataset.examples[row]) for row in chosen]))

    probe = LinearProbe(max_steps=1000, seed=0).fit(features(data, rows_of), data.given_labels[rows_of])
    probs = probe.predict_proba(features(test, range(len(test))))
    expected = -np.log(probs[np.arange(len(test)), test.given_labels]).mean()
    assert rows["wise-ft-0"].metrics["nll_nats"] == pytest.approx(expected, rel=1e-2, abs=1e-4)


def test_the_tuned_encoder_is_a_backbone_that_takes_the_same_images(config):
    card = finetune(changed(config, normalisation="raw", image_size=16))
    path = config.out / "model.safetensors"
    with safe_open(path, "pt") as file:
        said = json.loads(file.metadata()["noiseproof"])
    assert said["preprocessing"] == card["preprocessing"]
    backbone = open_backbone(f"timm:resnet8_32px@{path}")
    assert (backbone.mean, backbone.std) == ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
    test = open_dataset(config.test)
    pixels = np.stack([backbone.prepare(test.examples[row]) for row in range(len(test))])
    assert pixels.shape == (8, 16, 16, 3)
    state = weights(config.out)
    logits = backbone.encode(pixels) @ state["head.fc.weight"].numpy().T + state["head.fc.bias"].numpy()
    accuracy = (logits.argmax(axis=1) == test.given_labels).mean()
    assert accuracy == card["results"]["tuned-best"]["test"]


def test_a_simclr_encoder_of_ours_brings_its_own_images_and_size(config, tmp_path):
    from noiseproof.config.pretrain import PretrainConfig
    from noiseproof.pipelines.pretrain import pretrain

    small = PretrainConfig(
        objective="simclr", model="resnet8_32px", image_size=16, epochs=1, batch_size=8, learning_rate=0.05,
        train=config.train, test=config.test, out=tmp_path / "simclr",
    )  # fmt: skip
    made = pretrain(small, quiet=True)
    card = finetune(
        changed(config, backbone=f"timm:resnet8_32px@{tmp_path / 'simclr' / 'model.safetensors'}")
    )
    assert card["preprocessing"] == made["preprocessing"]
    assert card["preprocessing"]["image_size"] == 16


@pytest.mark.parametrize("name", ["zoo:resnet8-noise0", "zoo:resnet8-simclr", "zoo:resnet8-clip-noise0"])
def test_supervised_simclr_and_image_text_encoders_start_from_their_own_weights(config, name):
    start = weights_before(changed(config, learning_rate=1e-12), name)
    assert start["stem.conv.weight"] == pytest.approx(
        open_backbone(name).module.encoder.stem.conv.weight.numpy(), abs=1e-6
    )


def weights_before(config, name):
    finetune(changed(config, backbone=name, epochs=1, weight_decay=0.0))
    return {key: value.numpy() for key, value in weights(config.out).items()}


@pytest.mark.slow
def test_a_random_start_takes_nothing_from_the_weights_but_what_images_they_want(config, tmp_path):
    fresh = changed(config, init="random", learning_rate=1e-12)
    one = weights_before(fresh, "zoo:resnet8-noise0")
    other = weights_before(changed(fresh, out=tmp_path / "other"), "zoo:resnet8-simclr")
    np.testing.assert_array_equal(one["stem.conv.weight"], other["stem.conv.weight"])
    plain = open_backbone("zoo:resnet8-noise0").module.encoder.stem.conv.weight.numpy()
    assert not np.allclose(one["stem.conv.weight"], plain, atol=1e-2)


@pytest.mark.slow
def test_a_stem_for_small_images_is_named_never_silent(config):
    small = changed(config, init="random", epochs=1, image_size=32)
    resnet = changed(small, backbone="timm:resnet18")
    card = finetune(changed(resnet, stem="cifar", tune="head"))
    assert card["architecture"] == "resnet18_32px"
    assert any("3x3 stem is fresh" in note for note in card["notes"])
    assert weights(config.out)["conv1.weight"].shape == (64, 3, 3, 3)
    plain = finetune(changed(resnet, tune="head", out=config.out / "plain"))
    assert any("leaves 8 of 32 pixels in a row. Next: stem=cifar" in note for note in plain["notes"])
    with pytest.raises(
        InvalidArgument, match=r"`stem` is 'cifar'; allowed: a backbone of .*resnet18.*resnet50"
    ):
        finetune(changed(config, stem="cifar", out=config.out / "no"))


def test_a_fresh_stem_keeps_the_other_weights(config, tmp_path):
    from noiseproof.adapt.initial_encoder import load_initial_encoder
    from noiseproof.backbones.images.timm_models import import_timm

    trained = import_timm("a test").create_model("resnet18", num_classes=0)
    save_file(trained.state_dict(), tmp_path / "r.safetensors")
    settings = config.settings.model_copy(update={"stem": "cifar"})
    start = load_initial_encoder(f"timm:resnet18@{tmp_path / 'r.safetensors'}", settings, seed=0)
    state = start.encoder.state_dict()
    assert all(torch.equal(v, state[k]) for k, v in trained.state_dict().items() if k != "conv1.weight")
    assert start.preprocessing["image_size"] == 32
    assert start.preprocessing["mean"] == list(trained.pretrained_cfg["mean"])


def test_a_checkpoint_that_does_not_fit_lists_its_keys(config, tmp_path):
    state = open_backbone("zoo:resnet8-noise0").module.encoder.state_dict()
    state["stem.other.weight"] = state.pop("stem.conv.weight")
    save_file({key: value.contiguous() for key, value in state.items()}, tmp_path / "bad.safetensors")
    with pytest.raises(
        CheckpointMismatch, match=r"1 missing: stem.conv.weight; 1 unexpected: stem.other.weight"
    ):
        finetune(changed(config, backbone=f"timm:resnet8_32px@{tmp_path / 'bad.safetensors'}"))


def test_low_rank_tuning_leaves_a_plain_network_whose_norms_did_not_change(config):
    pytest.importorskip("peft")
    finetune(changed(config, tune="lora"))
    state, before = (
        weights(config.out, "last.safetensors"),
        open_backbone(config.backbone).module.encoder.state_dict(),
    )
    assert set(before) | {"head.fc.weight", "head.fc.bias"} == set(state)
    for name, value in before.items():
        is_norm = "bn" in name
        assert torch.equal(value, state[name]) == is_norm, name


def test_only_the_head_learns_when_only_the_head_is_asked_for(config):
    finetune(changed(config, tune="head"))
    state, before = weights(config.out), open_backbone(config.backbone).module.encoder.state_dict()
    assert all(torch.equal(value, state[name]) for name, value in before.items())
    assert state["head.fc.weight"].abs().sum() > 0


def test_streaming_with_balanced_epochs(config):
    streamed = changed(config, reading="stream", per_class=8, workers=0, eval_epochs=0.5, batch_size=4)
    card = finetune(streamed)
    assert card["num_steps"] == 8  # 2 epochs of 2 classes x 8 examples in batches of 4
    assert [each["step"] for each in card["selection"]["validations"]] == [2, 4, 6, 8]


def test_mixed_precision_in_parts(config):
    card = finetune(changed(config, precision="bfloat16", accumulation=2, optimizer="adamw"))
    assert np.isfinite(card["final_loss"])


def test_noise_of_a_manifest_is_the_noise_it_was_made_with(config, tmp_path):
    first = finetune(changed(config, noise="symmetric:0.25"))
    again = finetune(changed(config, noise_manifest=config.out / "noise", out=tmp_path / "again"))
    assert again["noise"]["manifest_sha256"] == first["noise"]["manifest_sha256"]
    assert same(weights(config.out), weights(tmp_path / "again"))


@pytest.mark.parametrize(
    ("values", "error", "said"),
    [
        ({"noise": "0.2"}, InvalidArgument, r"Unknown kind of noise '0.2'.*Allowed: KIND:RATE"),
        ({"noise": "symmetric"}, InvalidArgument, r"`noise` is 'symmetric'; allowed: KIND:RATE"),
        ({"noise": "symmetrik:0.2"}, InvalidArgument, "Did you mean 'symmetric'"),
        ({"noise": "captions:0.2"}, InvalidArgument, r"`noise` is 'captions:0.2'; allowed: noise of labels"),
        ({"wise_ft": (2.0,)}, InvalidArgument, r"`wise_ft` is 2.0"),
        ({"backbone": "zoo:resnet9"}, UnknownName, "zoo encoder"),
        ({"backbone": "features:"}, InvalidArgument, "`backbone` is 'features:'"),
    ],
)
def test_wrong_inputs_are_refused_before_anything_is_written(config, values, error, said):
    with pytest.raises(error, match=said):
        finetune(loaded(config, **values))
    assert {path.name for path in config.out.glob("*")} <= {".lock"}


def test_a_test_set_of_other_classes_is_refused(config, tmp_path):
    (tmp_path / "test" / "dark").rename(tmp_path / "test" / "dim")
    with pytest.raises(BadData, match=r"classes that the training set does not have: dim"):
        finetune(config)


def test_features_cannot_be_tuned(config, tmp_path):
    labels = np.arange(12) % 2
    np.savez(tmp_path / "f.npz", features=np.eye(12, dtype=np.float32), labels=labels)
    with pytest.raises(BadData, match="holds features; allowed: images"):
        finetune(changed(config, train=str(tmp_path / "f.npz"), test=None))


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("tune=most", r"`tune` is 'most'; allowed: full, last-blocks:N"),
        ("epoch=3", r"Did you mean 'epochs'"),
        ("validation=0", r"`validation` is 0; allowed: greater than 0"),
        ("init=imagenet", r"`init` is 'imagenet'; allowed: 'pretrained' or 'random'"),
    ],
)
def test_a_wrong_setting_is_named(config, override, said):
    with pytest.raises(InvalidArgument, match=said):
        loaded(config, override)


def test_a_stream_is_always_cropped(config):
    with pytest.raises(InvalidArgument, match="`augmentation` is 'none'; allowed with reading=stream"):
        loaded(config, "reading=stream", "augmentation=none")


def test_the_command_tunes_and_tells(config, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    image_folder(tmp_path / "phone", per_class=3, seed=2)
    data = "train --test test --ood phone --backbone zoo:resnet8-noise20 --out out"
    how = "--wise-ft 0,0.5,1 --noise symmetric:0.25 --epochs 1 --set batch_size=4"
    result = CliRunner().invoke(app, f"adapt finetune {data} {how}".split())
    assert result.exit_code == 0, result.output
    for said in ("tuned-best", "tuned-last", "wise-ft-0.5", "phone", "Best: step", "timm:resnet8_32px@out"):
        assert said in result.stdout
    wrong = CliRunner().invoke(app, f"adapt finetune {data} --wise-ft 0,half".split())
    assert wrong.exit_code == 2
    assert "`--wise-ft` is 'half'; allowed: a valid number" in wrong.stderr


def test_a_loss_that_needs_the_transition_matrix_gets_an_estimate_of_the_features_before(config):
    noisy = changed(config, noise="symmetric:0.25", loss="forward")
    card = finetune(noisy)
    matrix = np.array(card["transition"]["matrix"])
    assert matrix.shape == (2, 2)
    np.testing.assert_allclose(matrix.sum(1), 1)
    assert any("transition matrix that was estimated" in note for note in card["notes"])
    assert np.isfinite(card["final_loss"])


def test_a_transition_matrix_that_is_given_is_taken(config, tmp_path):
    np.save(tmp_path / "t.npy", np.array([[0.8, 0.2], [0.3, 0.7]]))
    card = finetune(loaded(config, "loss=backward", f"loss_options.transition={tmp_path / 't.npy'}"))
    assert card["config"]["loss_options"]["transition"] == [[0.8, 0.2], [0.3, 0.7]]
    assert card["transition"] is None


def test_fresh_weights_estimate_no_transition_matrix(config):
    with pytest.raises(InvalidArgument, match=r"'transition'.* is None; allowed: a \(2, 2\) matrix"):
        finetune(changed(config, loss="forward", init="random"))


def test_losses_are_refused_with_their_options_before_anything_is_read(config):
    with pytest.raises(UnknownName, match=r"Unknown loss 'gcee'\. Did you mean 'gce'"):
        finetune(changed(config, loss="gcee"))
    with pytest.raises(UnknownName, match=r"option of the loss 'cross_entropy'.*'q'"):
        finetune(changed(config, loss_options={"q": 0.7}))


def test_a_memory_of_the_examples_needs_each_of_them_once_in_a_batch(config):
    with pytest.raises(InvalidArgument, match="`per_class` is 8; allowed: nothing with the loss 'elr'"):
        finetune(changed(config, loss="elr", per_class=8))


@pytest.fixture(scope="module")
def tiny_vit(tmp_path_factory):
    """A ViT of timm's that takes 16 pixels, registered for these tests."""
    import timm.models

    from noiseproof.backbones.images.timm_models import import_timm

    import_timm("a test")
    name = "tiny_vit_16px"
    if not timm.is_model(name):
        from timm.models.vision_transformer import VisionTransformer

        def tiny_vit_16px(pretrained=False, pretrained_cfg=None, **options):
            del pretrained, pretrained_cfg
            model = VisionTransformer(
                img_size=16, patch_size=8, embed_dim=24, depth=2, num_heads=2,
                num_classes=options.get("num_classes", 10),
            )  # fmt: skip
            model.pretrained_cfg = {
                "architecture": name, "input_size": (3, 16, 16), "interpolation": "bicubic",
                "crop_pct": 1.0, "mean": (0.5,) * 3, "std": (0.5,) * 3, "classifier": "head",
            }  # fmt: skip
            return model

        tiny_vit_16px.__module__ = "timm.models.vision_transformer"
        timm.models.register_model(tiny_vit_16px)
    return f"timm:{name}"


@pytest.mark.parametrize("tune", ["vpt-deep:2", "vpt-shallow:2", "adapter:4", "ssf"])
def test_small_additions_are_tuned_saved_and_opened_again_as_a_backbone(config, tiny_vit, tune):
    card = finetune(changed(config, backbone=tiny_vit, init="random", tune=tune, learning_rate=0.2))
    assert card["learning"]["mode"] == tune
    assert 0 < card["learning"]["parameters"] < card["learning"]["of"] / 2
    stays = tune != "ssf"
    assert (card["additions"] is not None) == stays
    assert any(name.startswith("additions.") for name in weights(config.out)) == stays
    backbone = open_backbone(f"{tiny_vit}@{config.out / 'model.safetensors'}")
    images = np.stack([backbone.prepare(example) for example in open_dataset(config.test).examples])
    features = torch.from_numpy(backbone.encode(images))
    tuned = weights(config.out)
    said = (features @ tuned["head.weight"].T + tuned["head.bias"]).argmax(1)
    right = float((said.numpy() == open_dataset(config.test).given_labels).mean())
    assert right == pytest.approx(card["results"]["tuned-best"]["test"])


def test_an_encoder_with_prompts_is_not_tuned_again(config, tiny_vit, tmp_path):
    first = changed(config, backbone=tiny_vit)
    finetune(changed(first, init="random", tune="vpt-deep:2", epochs=1))
    again = changed(first, backbone=f"{tiny_vit}@{config.out / 'model.safetensors'}", out=tmp_path / "again")
    with pytest.raises(InvalidArgument, match="an encoder without prompts or adapters of an earlier"):
        finetune(again)


def test_a_convolutional_network_is_refused_before_any_work(config):
    with pytest.raises(InvalidArgument, match="`tune` is 'vpt-deep:20'; allowed: full, last-blocks:N"):
        finetune(changed(config, tune="vpt-deep"))
    assert not (config.out / "log.jsonl").exists()


def test_prompts_have_no_network_before_to_go_back_to(config, tiny_vit):
    with pytest.raises(InvalidArgument, match=r"`wise_ft` is \[0.5\]; allowed: nothing with tune=adapter"):
        finetune(changed(config, backbone=tiny_vit, wise_ft=(0.5,), init="random", tune="adapter"))


def test_the_command_line_tunes_prompts(config, tiny_vit):
    said = CliRunner().invoke(
        app,
        ["adapt", "finetune", config.train, "--test", config.test, "--backbone", tiny_vit, "--out",
         str(config.out), "--init", "random", "--tune", "vpt-deep:2", "--epochs", "1",
         "--set", "batch_size=4", "--set", "padding=1"],
    )  # fmt: skip
    assert said.exit_code == 0, said.output
    assert "(vpt-deep:2)" in said.output
