"""SimCLR: two augmentations of an image agree, all other images in the batch disagree."""

from __future__ import annotations

import torch
import torch.distributed as distributed
from jaxtyping import Float
from torch import Tensor, nn

from noiseproof.core.errors import invalid
from noiseproof.core.rng import isolated
from noiseproof.pretrain.image_towers import image_tower
from noiseproof.pretrain.pretrain_settings import PretrainSettings
from noiseproof.pretrain.task import Task
from noiseproof.training.batches import Batch
from noiseproof.training.loop import Loss
from noiseproof.training.networks import normaliser
from noiseproof.training.views import ColourChanges, SimCLRViews


def simclr_task(settings: PretrainSettings, *, seed: int) -> Task:
    """A timm network that learns without labels; its projection head is not kept.

    Source: Chen, Kornblith et al. 2020, arXiv:2002.05709v3.
    Differs: pixels are normalised by mean and standard deviation, as timm has them for the network, not left
    in [0, 1] as in simclr-pytorch. The zoo's encoder was made with both differences.
    """
    encoder = image_tower(settings, num_classes=0, seed=seed)
    with isolated(seed, "init", "projection"):
        model = WithProjection(encoder, dim=int(encoder.num_features), projection_dim=settings.projection_dim)
    return Task(
        model=model,
        loss=simclr_loss(temperature=settings.temperature),
        normalise=normaliser(encoder),
        augmentation=SimCLRViews(settings.least_scale, settings.colour_strength, settings.use_flip),
        recolour=ColourChanges(settings.colour_strength),
        features=encoder,
        weights=encoder,
        architecture=settings.model,
        views=2,
        metric="linear_probe_accuracy",
    )


def nt_xent(
    first: Float[Tensor, "b d"], second: Float[Tensor, "b d"], *, temperature: float = 0.5
) -> Float[Tensor, ""]:
    r"""Normalised temperature-scaled cross-entropy over 2b views.

    $\ell_{i,j} = -\log \frac{\exp(\mathrm{sim}(z_i, z_j) / \tau)}
    {\sum_{k \ne i} \exp(\mathrm{sim}(z_i, z_k) / \tau)}$ with cosine similarity, averaged over both
    directions of every pair.

    Args:
        first: one view of each image; any length but zero.
        second: the other view, in the same order.
        temperature: tau, dimensionless, > 0.

    Returns:
        Mean over the 2b views, nats, >= 0; 0 for a single image.

    Raises:
        InvalidArgument: `temperature` is not positive.

    Source: Chen, Kornblith et al. 2020, arXiv:2002.05709v3, Eq. (1) and Algorithm 1.
    """
    if not temperature > 0:
        raise invalid("temperature", temperature, "a number above 0")
    views = nn.functional.normalize(torch.cat([first, second]), dim=1)
    logits = views @ views.T / temperature
    itself = torch.eye(len(views), dtype=torch.bool, device=views.device)
    logits = logits.masked_fill(itself, float("-inf"))  # k runs over the others; exp(-inf) adds exactly 0
    other_view = torch.arange(len(views), device=views.device).roll(len(first))
    return nn.functional.cross_entropy(logits, other_view)


class WithProjection(nn.Module):
    """An encoder under the two-layer head that only pre-training needs.

    Args:
        encoder: from images to (b, d).
        dim: d.
        projection_dim: width of the space the views are compared in.

    Source: Chen, Kornblith et al. 2020, arXiv:2002.05709v3, Section 2.1 and Appendix B.9 (CIFAR-10).
    Differs: the bias of the last BatchNorm is trained; that of simclr-pytorch, which made the encoders of
    Ghosh & Lan 2021, arXiv:2104.08984, is not.
    """

    def __init__(self, encoder: nn.Module, *, dim: int, projection_dim: int) -> None:
        super().__init__()
        self.encoder = encoder
        self.projection = nn.Sequential(
            nn.Linear(dim, dim, bias=False),
            nn.BatchNorm1d(dim),
            nn.ReLU(),
            nn.Linear(dim, projection_dim, bias=False),
            nn.BatchNorm1d(projection_dim),
        )

    def forward(self, images: Tensor) -> Float[Tensor, "b p"]:
        """Projected features."""
        return self.projection(self.encoder(images))


def simclr_loss(*, temperature: float) -> Loss:
    """The loss of one batch of `images_0` and `images_1`; views of other processes are negatives, too."""

    def loss(model: nn.Module, batch: Batch) -> Tensor:
        first, second = model(torch.cat([batch["images_0"], batch["images_1"]])).chunk(2)
        return nt_xent(_from_all(first), _from_all(second), temperature=temperature)

    return loss


def _from_all(rows: Tensor) -> Tensor:
    """The rows of every process, with gradients; DDP's average then is the gradient of the whole batch."""
    if not distributed.is_available() or not distributed.is_initialized():
        return rows
    from torch.distributed.nn.functional import all_gather

    return torch.cat(all_gather(rows))
