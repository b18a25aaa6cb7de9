"""The data sets of the papers as a table: source, sizes and classes of each.

Rows follow Chen et al. 2024 (ICLR), Tables 4, 5, 10 and 11. `printed` keeps the numbers of the tables;
`num_classes` and the sizes of the splits are those of the data sets themselves. `note` explains where and why
the two differ.
"""

from __future__ import annotations

from noiseproof.data.suites.suite_records import Metric, Naming, Split, SuitePart, SuiteSet


def _torchvision(name: str, **splits: tuple[str, int]) -> dict[str, Split]:
    return {role: Split(f"torchvision:{name}/{split}", size) for role, (split, size) in splits.items()}


def _one_piece(source: str, train: int, test: int) -> dict[str, Split]:
    return {"train": Split(source, train), "test": Split(source, test)}


VISION_ID: dict[str, SuiteSet] = {
    "cifar10": SuiteSet(
        _torchvision("CIFAR10", train=("train", 50_000), test=("test", 10_000)),
        10, "accuracy", ("10", "50,000", "10,000"),
    ),
    "cifar100": SuiteSet(
        _torchvision("CIFAR100", train=("train", 50_000), test=("test", 10_000)),
        100, "accuracy", ("100", "50,000", "10,000"),
    ),
    "flowers102": SuiteSet(
        _torchvision("Flowers102", train=("train+val", 2_040), test=("test", 6_149)),
        102, "mean_per_class_accuracy", ("102", "2,040", "6,149"),
        note="train is train+val; the released code trained on train alone (1,020)",
    ),
    "food101": SuiteSet(
        _torchvision("Food101", train=("train", 75_750), test=("test", 25_250)),
        101, "accuracy", ("101", "75,750", "25,250"),
    ),
    "oxford_pet": SuiteSet(
        _torchvision("OxfordIIITPet", train=("trainval", 3_680), test=("test", 3_669)),
        37, "mean_per_class_accuracy", ("37", "3,680", "3,669"),
    ),
    "stanford_cars": SuiteSet(
        _torchvision("StanfordCars", train=("train", 8_144), test=("test", 8_041)),
        196, "accuracy", ("196", "8,144", "8,041"),
    ),
    "fgvc_aircraft": SuiteSet(
        _torchvision("FGVCAircraft", train=("trainval", 6_667), test=("test", 3_333)),
        100, "mean_per_class_accuracy", ("102", "6,667", "3,333"),
        note="100 variants, the paper prints 102; the released code trained on train alone (3,334)",
    ),
    "svhn": SuiteSet(
        _torchvision("SVHN", train=("train", 73_257), test=("test", 26_032)),
        10, "accuracy", ("10", "73,257", "26,032"),
    ),
    "dtd": SuiteSet(
        _torchvision("DTD", train=("train", 1_880), test=("test", 1_880)),
        47, "accuracy", ("47", "1,880", "1,880"),
    ),
    "caltech101": SuiteSet(
        _one_piece("{data}/caltech101/101_ObjectCategories", 3_060, 6_084),
        102, "mean_per_class_accuracy", ("102", "3,060", "6,084"),
        part=SuitePart(train_per_class=30),
        note="with BACKGROUND_Google; 30 of each class to train on, drawn by seed 0: other images than "
        "in the paper, whose draw is that of tensorflow-datasets",
    ),
    "eurosat": SuiteSet(
        _one_piece("{data}/eurosat/2750", 21_600, 5_400),
        10, "accuracy", ("10", "21,600", "5,400"),
        part=SuitePart(test_share=0.2),
        note="published in one piece; a fifth of each class to test on, drawn by seed 0",
    ),
    "patch_camelyon": SuiteSet(
        {
            "train": Split("hf:1aurent/PatchCamelyon/train", 262_144),
            "val": Split("hf:1aurent/PatchCamelyon/valid", 32_768),
            "test": Split("hf:1aurent/PatchCamelyon/test", 32_768),
        },
        2, "accuracy", ("10", "73,257", "26,032"),
        note="the paper prints the numbers of SVHN, which its code loaded instead; its protocol on this set "
        "would be train+val (294,912) and test",
    ),
    "resisc45": SuiteSet(
        _one_piece("{data}/resisc45/NWPU-RESISC45", 25_200, 6_300),
        45, "accuracy", ("45", "25,200", "6,300"),
        part=SuitePart(test_share=0.2),
        note="published in one piece; a fifth of each class to test on, drawn by seed 0",
    ),
    "rendered_sst2": SuiteSet(
        _torchvision("RenderedSST2", train=("train", 6_920), test=("test", 1_821)),
        2, "accuracy", ("2", "6,920", "1,821"),
    ),
}  # fmt: skip


def _domain(name: str, train: int, test: int, printed_train: str | None, printed_test: str) -> SuiteSet:
    splits = {
        split: Split(f"{{data}}/domainnet/{name}_{split}.txt", size)
        for split, size in (("train", train), ("test", test))
    }
    return SuiteSet(splits, 345, "accuracy", ("345", printed_train, printed_test))


def _variant(
    folder: str,
    num_classes: int,
    size: int | None,
    printed: tuple[str, str | None],
    naming: Naming,
    note: str = "",
) -> SuiteSet:
    splits = {"test": Split(f"{{data}}/{folder}", size)}
    return SuiteSet(
        splits, num_classes, "accuracy", (printed[0], None, printed[1]), imagenet=naming, note=note
    )


# What heads for the variants of ImageNet are trained on; none of the out-of-domain sets.
VISION_SOURCE: dict[str, SuiteSet] = {
    "imagenet": SuiteSet(
        {"train": Split("{data}/imagenet/train", 1_281_167), "test": Split("{data}/imagenet/val", 50_000)},
        1_000, "accuracy", (None, None, None), imagenet="wnid",
        note="the paper prints no row for it",
    ),
}  # fmt: skip
VISION_OOD: dict[str, SuiteSet] = {
    "domainnet_sketch": _domain("sketch", 48_212, 20_916, "48,212", "20,916"),
    "domainnet_real": _domain("real", 120_906, 52_041, "120,906", "52,041"),
    "domainnet_painting": _domain("painting", 50_416, 21_850, None, "21,850"),
    "domainnet_clipart": _domain("clipart", 33_525, 14_604, None, "14,604"),
    "imagenet_v2": _variant(
        "imagenetv2-matched-frequency-format-val", 1_000, 10_000, ("1,000", "10,000"), "number"
    ),
    "imagenet_r": _variant("imagenet-r", 200, 30_000, ("200", "30,000"), "wnid"),
    "imagenet_sketch": _variant("imagenet-sketch", 1_000, 50_889, ("1,000", "50,889"), "wnid"),
    "imagenet_a": _variant("imagenet-a", 200, 7_500, ("200", "7,500"), "wnid"),
    "imagenet_vid": _variant(
        "imagenet_vid_ytbb_robust/imagenet-vid-robust", 30, None, ("1,000", None), "vid",
        note="30 classes; the paper prints 1,000 and no size. The metric is of the anchor frames (pm-0). "
        "No size is asserted: arXiv:1906.02168v2 states 22,178 frames, of an earlier edition",
    ),
    "objectnet": _variant(
        "objectnet-1.0", 113, 18_574, ("112", "18,574"), "objectnet",
        note="the classes shared with ImageNet; 113, the paper prints 112",
    ),
}  # fmt: skip


def _glue(
    task: str,
    train: int,
    test: int,
    printed: tuple[str, str, str],
    text: tuple[str, ...],
    *,
    metric: Metric = "accuracy",
    split: str = "validation",
    num_classes: int | None = None,
    note: str = "",
) -> SuiteSet:
    sizes = {"train": Split(f"hf:nyu-mll/glue:{task}/train", train)}
    sizes["test"] = Split(f"hf:nyu-mll/glue:{task}/{split}", test)
    k = int(printed[0]) if num_classes is None else num_classes
    return SuiteSet(sizes, k, metric, printed, kind="text", text=text, note=note)


_PAIR = ("sentence1", "sentence2")
# GLUE keeps the labels of its test splits, so `test` is its validation split; the printed sizes are rounded
# and partly those of the hidden splits.
GLUE: dict[str, SuiteSet] = {
    "cola": _glue("cola", 8_551, 1_043, ("2", "8,500", "1,000"), ("sentence",), metric="matthews"),
    "sst2": _glue("sst2", 67_349, 872, ("2", "67,000", "1,800"), ("sentence",)),
    "mrpc": _glue("mrpc", 3_668, 408, ("2", "3,700", "1,700"), _PAIR),
    "stsb": _glue(
        "stsb", 5_749, 1_500, ("5", "7,000", "1,400"), _PAIR, metric="pearson", num_classes=1,
        note="a regression of similarities from 0 to 5, printed as 5 classes",
    ),
    "qqp": _glue("qqp", 363_846, 40_430, ("2", "364,000", "391,000"), ("question1", "question2")),
    "mnli": _glue(
        "mnli", 392_702, 9_815, ("3", "393,000", "20,000"), ("premise", "hypothesis"),
        split="validation_matched",
    ),
    "qnli": _glue("qnli", 104_743, 5_463, ("2", "105,000", "5,400"), ("question", "sentence")),
    "rte": _glue("rte", 2_490, 277, ("2", "2,500", "3,000"), _PAIR),
}  # fmt: skip


def _gluex(
    source: str | None,
    size: int,
    printed: tuple[str, str],
    text: tuple[str, ...],
    *,
    num_classes: int = 2,
    metric: Metric = "accuracy",
    note: str = "",
) -> SuiteSet:
    return SuiteSet(
        {"test": Split(source, size)}, num_classes, metric, (printed[0], None, printed[1]),
        kind="text", text=text, note=note,
    )  # fmt: skip


_NLI = ("premise", "hypothesis")
_THREE = "3 classes, the paper prints 2"
_GLUEX_ONLY = "only in the files of GLUE-X; pass them as `source`"
GLUE_X: dict[str, SuiteSet] = {
    "grammar_test": _gluex(None, 304_277, ("2", "304,277"), ("text",), metric="matthews", note=_GLUEX_ONLY),
    "imdb": _gluex("hf:stanfordnlp/imdb/train+test", 50_000, ("2", "50,000"), ("text",)),
    "mnli_mismatched": _gluex(
        "hf:nyu-mll/glue:mnli/validation_mismatched", 9_832, ("2", "9,832"), _NLI, num_classes=3, note=_THREE
    ),
    "snli": _gluex(
        "hf:stanfordnlp/snli/train+validation+test", 570_152, ("2", "570,152"), _NLI, num_classes=3,
        note=f"{_THREE}; of these pairs some have no gold label",
    ),
    "sick": _gluex(None, 9_840, ("2", "9,840"), _PAIR, num_classes=3, note=f"{_THREE}; {_GLUEX_ONLY}"),
    "newsqa": _gluex(None, 119_525, ("2", "119,525"), ("question", "sentence"), note=_GLUEX_ONLY),
    "scitail": _gluex(None, 26_527, ("2", "26,527"), _PAIR, note=_GLUEX_ONLY),
    "hans": _gluex("hf:jhu-cogsci/hans/train+validation", 60_000, ("2", "60,000"), _NLI),
}  # fmt: skip


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
SUITES: dict[str, dict[str, SuiteSet]] = {
    "vision-in-domain": VISION_ID,
    "vision-source": VISION_SOURCE,
    "vision-out-of-domain": VISION_OOD,
    "glue": GLUE,
    "glue-x": GLUE_X,
    "label-noise": LABEL_NOISE,
}
