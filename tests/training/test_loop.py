import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from toy_training import NUM_STEPS, cross_entropy, run_toy, toy_batches, toy_model

from noiseproof.core.errors import BadData, CheckpointMismatch, DamagedFile, InvalidArgument, MissingExtra
from noiseproof.training.checkpoint import restore_training, write_checkpoint
from noiseproof.training.loop import CHECKPOINT, LOG, TrainingSchedule, accelerator_for, logged, train
from noiseproof.training.optimizers import make_optimizer

pytest.importorskip("accelerate")
TOY = Path(__file__).parent / "toy_training.py"


class InterruptedHereError(Exception):
    pass


def interrupted_run(folder, at: int, **options):
    """A run that stops in the middle of step `at`, counted from where it begins."""
    steps = iter(range(10**6))

    def on_step():
        if next(steps) == at:
            raise InterruptedHereError

    with pytest.raises(InterruptedHereError):
        run_toy(folder, on_step=on_step, **options)


def losses(folder):
    return [json.loads(line)["loss"] for line in (folder / LOG).read_text().splitlines()]


@pytest.mark.parametrize("optimizer", ["sgd", "adamw", "lamb", "lars"])
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_training_that_was_interrupted_twice_ends_with_the_same_bytes(tmp_path, optimizer, precision):
    options = {"optimizer": optimizer, "precision": precision}
    whole = run_toy(tmp_path / "whole", **options)
    interrupted_run(tmp_path / "parts", 5, **options)
    interrupted_run(tmp_path / "parts", 8, **options)
    assert run_toy(tmp_path / "parts", **options).read_bytes() == whole.read_bytes()
    assert losses(tmp_path / "parts") == losses(tmp_path / "whole")
    assert len(losses(tmp_path / "whole")) == NUM_STEPS


def in_two_processes(folder, *names):
    """Exit code and standard error of each, which train with one loss after the other."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    group = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    command = [sys.executable, str(TOY), str(folder), *names]
    processes = []
    for rank in ("0", "1"):
        environment = os.environ | group | {"RANK": rank, "LOCAL_RANK": rank}
        processes.append(subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True))
    try:
        said = [process.communicate(timeout=300)[1] for process in processes]
    finally:
        for process in processes:
            process.kill()
    return [(process.returncode, each) for process, each in zip(processes, said, strict=True)]


@pytest.mark.slow
def test_two_processes_learn_what_one_learns_from_the_same_batches(tmp_path):
    pytest.importorskip("open_clip")
    names = ("cross_entropy", "nt_xent", "image_text")
    for code, said in in_two_processes(tmp_path / "two", *names):
        assert code == 0, said
    for loss in names:
        one = load_file(run_toy(tmp_path / "one" / loss, loss=loss, use_batch_norm=False))
        two = load_file(tmp_path / "two" / loss / "weights.safetensors")
        assert losses(tmp_path / "two" / loss) == pytest.approx(losses(tmp_path / "one" / loss), rel=1e-4)
        for name, value in one.items():
            torch.testing.assert_close(two[name], value, rtol=1e-3, atol=1e-5)


def test_accumulating_a_batch_in_parts_learns_the_same(tmp_path):
    one = load_file(run_toy(tmp_path / "one", use_batch_norm=False))
    parts = load_file(run_toy(tmp_path / "parts", use_batch_norm=False, accumulation=4))
    for name, value in one.items():
        torch.testing.assert_close(parts[name], value, rtol=1e-4, atol=1e-6)


def test_the_first_step_is_the_one_worked_out_by_hand(tmp_path):
    """With Nesterov's momentum from rest: w - lr (1 + momentum) g, g from a plain backward pass."""
    model, batches = toy_model(use_batch_norm=False), toy_batches()
    optimizer = make_optimizer(model, "sgd", learning_rate=0.1, weight_decay=0.0)
    (batch,) = batches.iterate(range(1), share_of_one())
    reference = toy_model(use_batch_norm=False)
    cross_entropy(reference, batch).backward()
    expected = reference[0].weight - 0.1 * 1.9 * reference[0].weight.grad
    train(
        model, batches, cross_entropy, optimizer, schedule=TrainingSchedule(num_steps=1),
        accelerator=accelerator_for("float32"), folder=folder_of(tmp_path), identity={}, quiet=True,
    )  # fmt: skip
    torch.testing.assert_close(model[0].weight, expected)


def share_of_one():
    from noiseproof.training.order import Share

    return Share()


def folder_of(tmp_path):
    (tmp_path / "run").mkdir()
    return tmp_path / "run"


def test_a_model_trained_in_mixed_precision_computes_in_float32_afterwards(tmp_path):
    model, fresh = toy_model().eval(), toy_model().eval()
    (batch,) = toy_batches().iterate(range(1), share_of_one())
    optimizer = make_optimizer(model, "sgd", learning_rate=0.1, weight_decay=0.0)
    train(
        model, toy_batches(), cross_entropy, optimizer,
        schedule=TrainingSchedule(num_steps=1, precision="bfloat16"),
        accelerator=accelerator_for("bfloat16"), folder=folder_of(tmp_path), identity={}, quiet=True,
    )  # fmt: skip
    fresh.load_state_dict(model.state_dict())
    with torch.inference_mode():
        assert torch.equal(model(batch["images"]), fresh(batch["images"]))


def test_learning_rates_of_the_log_rise_then_fall_to_nearly_nothing(tmp_path):
    run_toy(tmp_path)
    rates = [json.loads(line)["learning_rate"] for line in (tmp_path / LOG).read_text().splitlines()]
    assert rates[:2] == pytest.approx([0.025, 0.05])
    assert np.all(np.diff(rates[2:]) < 0)
    assert rates[-1] < 0.002


def test_a_line_of_the_log_that_a_kill_cut_short_is_dropped(tmp_path):
    whole = run_toy(tmp_path / "whole")
    interrupted_run(tmp_path / "parts", 8)
    with (tmp_path / "parts" / LOG).open("a") as file:
        file.write('{"step": 4, "loss"')
    assert run_toy(tmp_path / "parts").read_bytes() == whole.read_bytes()
    assert losses(tmp_path / "parts") == losses(tmp_path / "whole")


def test_a_line_of_the_log_that_has_no_end_is_not_there(tmp_path):
    (tmp_path / LOG).write_text('{"step": 1, "wall_s": 2}\n{"step": 2, "wall_s": 3}')
    assert logged(tmp_path / LOG) == [{"step": 1, "wall_s": 2}]
    assert logged(tmp_path / "absent") == []


def test_the_loss_goes_down(tmp_path):
    run_toy(tmp_path, num_steps=60)
    assert np.mean(losses(tmp_path)[-6:]) < 0.8 * np.mean(losses(tmp_path)[:6])


def test_a_checkpoint_of_other_settings_is_refused(tmp_path):
    interrupted_run(tmp_path, 5)
    with pytest.raises(
        CheckpointMismatch, match=r"loss was 'cross_entropy' and is 'other'.*give another --out"
    ):
        run_toy(tmp_path, identity={"loss": "other", "optimizer": "sgd"})


def test_a_checkpoint_of_another_model_is_refused(tmp_path):
    interrupted_run(tmp_path, 5)
    with pytest.raises(CheckpointMismatch, match="does not fit the model"):
        run_toy(tmp_path, use_batch_norm=False)


def test_a_damaged_checkpoint_is_named(tmp_path):
    interrupted_run(tmp_path, 5)
    path = tmp_path / CHECKPOINT
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(DamagedFile, match=r"checkpoint.safetensors' is damaged: .*start again from step 0"):
        run_toy(tmp_path)


def test_a_loss_that_is_no_number_stops_before_it_is_kept(tmp_path):
    model = toy_model()
    optimizer = make_optimizer(model, "sgd", learning_rate=0.1, weight_decay=0.0)
    schedule = TrainingSchedule(num_steps=9, log_steps=1, checkpoint_steps=2)
    with pytest.raises(BadData, match=r"loss is nan at step 2.*lower learning_rate"):
        train(
            model, toy_batches(), broken_after(2), optimizer, schedule=schedule, folder=folder_of(tmp_path),
            accelerator=accelerator_for("float32"), identity={}, quiet=True,
        )  # fmt: skip
    state = load_file(tmp_path / "run" / CHECKPOINT)
    assert all(torch.isfinite(value).all() for value in state.values())


def test_weights_that_are_no_numbers_are_not_kept_though_the_loss_is_one(tmp_path):
    """The gradient of sqrt at 0 is infinite, times 0 it is NaN; the value is 0."""
    model, steps = toy_model(), iter(range(10**6))

    def loss(network, batch):
        value = cross_entropy(network, batch)
        is_third = next(steps) == 3
        return value + torch.sqrt((network[0].weight * 0).abs().sum()) if is_third else value

    with pytest.raises(BadData, match=r"Weights \(0.weight\) are NaN .* after step 3, the loss.*--out"):
        train(
            model, toy_batches(), loss, make_optimizer(model, "sgd", learning_rate=0.1, weight_decay=0.0),
            schedule=TrainingSchedule(num_steps=9, log_steps=50, checkpoint_steps=2),
            folder=folder_of(tmp_path), accelerator=accelerator_for("float32"), identity={}, quiet=True,
        )  # fmt: skip
    state = load_file(tmp_path / "run" / CHECKPOINT)
    assert all(torch.isfinite(value).all() for value in state.values())


@pytest.mark.slow
def test_all_processes_stop_where_the_loss_of_one_is_no_number(tmp_path):
    for code, said in in_two_processes(tmp_path, "broken_in_one"):
        assert code == 1
        assert "The loss is nan at step 2" in said
    assert (tmp_path / "broken_in_one").is_dir()
    assert not (tmp_path / "broken_in_one" / CHECKPOINT).exists()


def broken_after(num_steps):
    steps = iter(range(10**6))

    def loss(model, batch):
        value = cross_entropy(model, batch)
        return value * float("nan") if next(steps) >= num_steps else value

    return loss


def test_a_batch_that_cannot_be_divided_is_refused(tmp_path):
    with pytest.raises(
        InvalidArgument, match=r"`batch_size` is 8; allowed: a multiple of 1 processes x 3 parts"
    ):
        run_toy(tmp_path, accumulation=3)


def test_without_accelerate_the_message_has_the_pip_command(monkeypatch):
    monkeypatch.setitem(sys.modules, "accelerate", None)
    with pytest.raises(MissingExtra, match=r"pip install 'noiseproof\[pretrain\]'"):
        accelerator_for("float32")


@pytest.mark.skipif(torch.accelerator.is_available(), reason="there is a device that has float16")
def test_float16_needs_an_accelerator():
    with pytest.raises(
        InvalidArgument, match="`precision` is 'float16'; allowed: float32 or bfloat16 on a CPU"
    ):
        accelerator_for("float16")


def test_a_checkpoint_keeps_the_state_of_loss_scaling(tmp_path):
    model = toy_model()
    optimizer = make_optimizer(model, "sgd", learning_rate=0.1, weight_decay=0.0)
    path = tmp_path / CHECKPOINT
    write_checkpoint(path, model, optimizer, step=4, identity={"a": 1}, scaler={"scale": 1024.0})
    assert restore_training(path, model, optimizer, identity={"a": 1}) == (4, {"scale": 1024.0})


def test_looks_come_at_their_steps_and_at_the_end(tmp_path):
    steps: list[int] = []
    run_toy(tmp_path, on_eval=steps.append, eval_steps=4)
    assert steps == [4, 8, 12, NUM_STEPS]


def test_a_checkpoint_follows_each_look(tmp_path):
    """Stopped right after the look at step 4, it goes on from there, not from the checkpoint at step 3."""
    steps: list[int] = []
    interrupted_run(tmp_path, 4, on_eval=steps.append, eval_steps=4)
    run_toy(tmp_path, on_eval=steps.append, eval_steps=4)
    assert steps == [4, 8, 12, NUM_STEPS]
    assert len(losses(tmp_path)) == NUM_STEPS


def test_looking_changes_nothing_that_is_learned(tmp_path):
    plain = run_toy(tmp_path / "plain")
    looked = run_toy(tmp_path / "looked", on_eval=lambda step: None, eval_steps=2)
    assert looked.read_bytes() == plain.read_bytes()


def test_lost_lines_of_the_log_are_counted_and_cost_no_step(tmp_path):
    whole = run_toy(tmp_path / "whole")
    interrupted_run(tmp_path / "parts", 8)
    lines = (tmp_path / "parts" / LOG).read_bytes().splitlines(keepends=True)
    (tmp_path / "parts" / LOG).write_bytes(b"".join(lines[:2]))
    with pytest.warns(UserWarning, match=r"log.jsonl' has lost 4 of its lines; the training goes on"):
        assert run_toy(tmp_path / "parts").read_bytes() == whole.read_bytes()


def test_a_damaged_line_of_the_log_is_named(tmp_path):
    interrupted_run(tmp_path, 8)
    path = tmp_path / LOG
    path.write_text(path.read_text().replace('"step": 2,', '"step": 3,'))
    with pytest.raises(DamagedFile, match=r"line 2 of .*log.jsonl' is damaged: .*Next: delete that line"):
        run_toy(tmp_path)


def test_one_flipped_bit_of_a_checkpoint_is_refused(tmp_path):
    interrupted_run(tmp_path, 5)
    path = tmp_path / CHECKPOINT
    content = path.read_bytes()
    path.write_bytes(content[:-9] + bytes([content[-9] ^ 64]) + content[-8:])
    with pytest.raises(DamagedFile, match=r"checkpoint.safetensors' is damaged: its tensors.*from step 0"):
        run_toy(tmp_path)
