"""The data sets with real label noise as a suite; their openers name the papers."""

from __future__ import annotations

from noiseproof.data.suite_records import Split, SuiteSet


def _with_labels_of_people(source: str, test: str, num_classes: int) -> SuiteSet:
    splits = {"train": Split(f"cifarn:{{data}}/cifar-n/{source}", 50_000), "test": Split(test, 10_000)}
    return SuiteSet(splits, num_classes, "accuracy", (None, None, None))


_CIFAR10N = {
    f"cifar10n_{name}": _with_labels_of_people(f"CIFAR-10_human.pt/{column}", "torchvision:CIFAR10/test", 10)
    for name, column in (
        ("aggre", "aggre_label"),
        ("random1", "random_label1"),
        ("random2", "random_label2"),
        ("random3", "random_label3"),
        ("worse", "worse_label"),
    )
}
# Labels to train on are wrong as they come; sizes are those their authors state.
LABEL_NOISE: dict[str, SuiteSet] = {
    **_CIFAR10N,
    "cifar100n": _with_labels_of_people("CIFAR-100_human.pt/noisy_label", "torchvision:CIFAR100/test", 100),
    "clothing1m": SuiteSet(
        {
            "train": Split("clothing1m:{data}/clothing1m/train", 1_000_000),
            "val": Split("clothing1m:{data}/clothing1m/val", 14_313),
            "test": Split("clothing1m:{data}/clothing1m/test", 10_526),
        },
        14, "accuracy", (None, None, None),
    ),
    "webvision": SuiteSet(
        {
            "train": Split("webvision:{data}/webvision/train", None),
            "test": Split("webvision:{data}/webvision/val", 50_000),
        },
        1_000, "accuracy", (None, None, None),
        note="the part found with Google; no size is asserted for it",
    ),
    "mini_webvision": SuiteSet(
        {
            "train": Split("webvision:{data}/webvision/mini_train", 65_944),
            "test": Split("webvision:{data}/webvision/mini_val", 2_500),
        },
        50, "accuracy", (None, None, None),
        note="the first 50 classes of the part found with Google",
    ),
    "food101n": SuiteSet(
        {
            "train": Split("food101n:{data}/food-101n/train", 310_009),
            "val": Split("food101n:{data}/food-101n/verified_val", 4_741),
            "verified_train": Split("food101n:{data}/food-101n/verified_train", 52_868),
            "test": Split("torchvision:Food101/test", 25_250),
        },
        101, "accuracy", (None, None, None),
        note="tested on Food-101; val are the images whose label was judged, right or wrong",
    ),
}  # fmt: skip
