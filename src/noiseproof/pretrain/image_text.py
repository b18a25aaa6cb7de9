"""Contrastive learning of images with captions: open_clip's loss on an open_clip model."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from noiseproof.backbones.image_text.image_text_models import build_pair, import_open_clip, tower_config
from noiseproof.backbones.image_text.prompt_words import TEMPLATES, caption, mean_direction
from noiseproof.backbones.images.timm_backbone import preprocessing_of
from noiseproof.core.errors import invalid
from noiseproof.pretrain.locked_pair import LockedPair, text_rows
from noiseproof.pretrain.pretrain_settings import PretrainSettings
from noiseproof.pretrain.task import Task
from noiseproof.training.augment import PadCropFlip
from noiseproof.training.batches import Batch, Normaliser
from noiseproof.training.loop import Loss
from noiseproof.training.networks import Images, normaliser, outputs
from noiseproof.training.order import Share

# Radford et al. 2021, arXiv:2103.00020, Section 2.5: the scale is kept from growing beyond this.
LARGEST_SCALE = 100.0


def image_text_task(
    settings: PretrainSettings, given_captions: Sequence[str] | np.ndarray, *, seed: int, share: Share
) -> Task:
    """An open_clip model that learns which caption belongs to which image.

    With a locked text tower each distinct caption passes that tower once, beforehand; else captions become
    tokens when their batch comes, since millions of them would fill the memory.

    Args:
        settings: with reading "features", images are the features of a locked image tower.
        given_captions: n, or (n, r) of which each step takes one at random.
        seed: of the fresh weights.
        share: of this process.
    """
    is_image_locked = settings.reading == "features"
    pair, tokenizer = build_pair(
        settings.model, image_size=settings.image_size, lock_text=settings.lock_text, seed=seed
    )
    model = LockedPair(pair, is_image_locked=is_image_locked) if settings.lock_text else pair

    def rows_of(some: Sequence[str]) -> Tensor:
        return text_rows(pair, tokenizer, some, is_locked=settings.lock_text)

    image_tower = getattr(pair.visual, "trunk", pair.visual)  # of timm, before the projection
    captions = np.asarray(given_captions, dtype=object)
    distinct, caption_ids = np.unique(captions, return_inverse=True)
    locked_rows = rows_of(distinct.tolist()) if settings.lock_text else None

    def rows_of_ids(ids: Int[Tensor, " b"]) -> Tensor:
        return rows_of(distinct[ids.numpy()].tolist()) if locked_rows is None else locked_rows[ids]

    def predict(images: Images, class_names: tuple[str, ...]) -> np.ndarray:
        directions = class_directions(model, rows_of, class_names)
        return zero_shot(outputs(model, partial(model.encode_image, normalize=True), images), directions)

    return Task(
        model=model,
        loss=image_text_loss(rows_of_ids, share=share),
        normalise=_normaliser(pair.visual),
        augmentation=PadCropFlip(settings.padding, settings.use_flip),
        features=partial(model.encode_image, normalize=False) if is_image_locked else image_tower,
        weights=model,
        columns={"caption_ids": caption_ids.reshape(captions.shape).astype(np.int64)},
        predict=predict,
        metric="zero_shot_accuracy",
        architecture=None
        if is_image_locked
        else _tower_config(settings)["vision_cfg"].get("timm_model_name"),
        prefix="visual.trunk.",
        facts={"num_captions": len(distinct)},
        preprocessing=preprocessing_of(image_tower) if is_image_locked else {},
    )


def locked_image_tower(settings: PretrainSettings) -> str:
    """The backbone whose features are the images of a model with a locked image tower.

    Raises:
        InvalidArgument: the image tower of the model is fresh and has to be trained.
    """
    config = _tower_config(settings)
    if "image_weights" not in config:
        raise invalid(
            "model", settings.model, "a model with a pre-trained image tower where `reading` is 'features'",
            "Next: --model lite0-minilm, or reading=memory.",
        )  # fmt: skip
    return str(config["image_weights"])


def _tower_config(settings: PretrainSettings) -> dict[str, Any]:
    return tower_config(settings.model, import_open_clip("Pre-training"))


def _normaliser(tower: Any) -> Normaliser:
    """Normalisation of pixels for a timm tower, or that of open_clip for its own towers."""
    if hasattr(tower, "trunk"):
        return normaliser(tower.trunk)
    open_clip = import_open_clip("Pre-training")
    return Normaliser(open_clip.OPENAI_DATASET_MEAN, open_clip.OPENAI_DATASET_STD)


def image_text_loss(rows_of: Callable[[Int[Tensor, " b"]], Tensor], *, share: Share) -> Loss:
    """The symmetric contrastive loss of a batch of `images` and `caption_ids`.

    Args:
        rows_of: ids of captions -> their rows, as `text_rows` makes them.
        share: of this process; the others' features are negatives, too.

    Source: Radford et al. 2021, arXiv:2103.00020, Figure 3, through open_clip's `ClipLoss`.
    """
    from open_clip.loss import ClipLoss

    criterion = ClipLoss(rank=share.rank, world_size=share.world, gather_with_grad=True)

    def loss(model: nn.Module, batch: Batch) -> Tensor:
        _limit_scale(model)
        rows = rows_of(_one_each(batch["caption_ids"].cpu())).to(batch["images"].device)
        return criterion(*model(batch["images"], rows))

    return loss


def _one_each(caption_ids: Int[Tensor, "b ..."]) -> Int[Tensor, " b"]:
    """One caption of each image, by the random numbers of the step."""
    if caption_ids.ndim == 1:
        return caption_ids
    chosen = torch.randint(caption_ids.shape[1], (len(caption_ids), 1))
    return caption_ids.gather(1, chosen).squeeze(1)


def _limit_scale(model: nn.Module) -> None:
    """Put the scale back to the largest one; limiting what the loss sees would leave it no gradient there."""
    with torch.no_grad():
        for name, value in model.named_parameters():
            if name.rpartition(".")[2] == "logit_scale":  # also inside the wrapper of parallel training
                value.clamp_(max=math.log(LARGEST_SCALE))


def class_directions(
    model: Any, rows_of: Callable[[Sequence[str]], Tensor], class_names: Sequence[str]
) -> Float[np.ndarray, "k e"]:
    """A unit vector per class in the shared space: the mean over the templates.

    Args:
        model: trained, on any device; a locked text tower stays on the CPU.
        rows_of: see `text_rows`.
        class_names: k names.

    Source: Radford et al. 2021, arXiv:2103.00020, Section 3.1.4 (ensembling over the embedding space).
    """
    place = model.logit_scale
    was_training = model.training
    model.eval()
    directions = []
    with torch.no_grad():
        for name in class_names:
            rows = rows_of([caption(name, template) for template in TEMPLATES])
            rows = rows.to(place) if rows.is_floating_point() else rows.to(place.device)
            mean = mean_direction(model.encode_text(rows, normalize=True))
            directions.append(mean.float().cpu().numpy())
    model.train(was_training)
    return np.stack(directions)


def zero_shot(image_features: Float[np.ndarray, "n e"], directions: Float[np.ndarray, "k e"]) -> np.ndarray:
    """The class whose direction is nearest to each image."""
    return (image_features @ directions.T).argmax(axis=1)
