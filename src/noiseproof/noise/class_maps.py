"""Class maps of asymmetric noise: those of the literature by name, and the user's own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int

from noiseproof.core.errors import invalid
from noiseproof.core.registry import unknown_name
from noiseproof.core.storage.yaml_text import BadYaml, read_yaml_file

# Krizhevsky 2009: 20 superclasses of five classes each.
_CIFAR100_SUPERCLASSES = """
beaver dolphin otter seal whale
aquarium_fish flatfish ray shark trout
orchid poppy rose sunflower tulip
bottle bowl can cup plate
apple mushroom orange pear sweet_pepper
clock keyboard lamp telephone television
bed chair couch table wardrobe
bee beetle butterfly caterpillar cockroach
bear leopard lion tiger wolf
bridge castle house road skyscraper
cloud forest mountain plain sea
camel cattle chimpanzee elephant kangaroo
fox porcupine possum raccoon skunk
crab lobster snail spider worm
baby boy girl man woman
crocodile dinosaur lizard snake turtle
hamster mouse rabbit shrew squirrel
maple_tree oak_tree palm_tree pine_tree willow_tree
bicycle bus motorcycle pickup_truck train
lawn_mower rocket streetcar tank tractor
"""
_NEXT = {
    name: group[(place + 1) % len(group)]
    for group in map(str.split, _CIFAR100_SUPERCLASSES.strip().splitlines())
    for place, name in enumerate(group)
}
# Name -> class -> class it is taken for; and the classes of the data set in their usual order.
_MAPS: dict[str, tuple[dict[str, str], tuple[str, ...]]] = {
    "cifar10": (
        {"truck": "automobile", "bird": "airplane", "deer": "horse", "cat": "dog", "dog": "cat"},
        ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"),
    ),
    "cifar100": (_NEXT, tuple(sorted(_NEXT))),
    "mnist": ({"2": "7", "3": "8", "5": "6", "6": "5", "7": "1"}, tuple("0123456789")),
    # Ours: garments that are taken for each other, in the manner of the map for CIFAR-10.
    "fashion-mnist": (
        {
            "Shirt": "T-shirt/top", "T-shirt/top": "Shirt", "Pullover": "Coat", "Coat": "Pullover",
            "Ankle_boot": "Sneaker",
        },
        ("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag",
         "Ankle_boot"),
    ),
}  # fmt: skip
CLASS_MAPS = tuple(_MAPS)


def named_map(name: str) -> tuple[dict[str, str], tuple[str, ...]]:
    """A map of the literature, by class name, and the classes of its data set in their usual order.

    Args:
        name: `cifar10` and `mnist` (five classes go to a similar one), `cifar100` (every class goes to the
            next of its superclass, alphabetically and circularly) or `fashion-mnist` (ours).

    Raises:
        UnknownName: another name.

    Source: Patrini et al. 2017, arXiv:1609.03683, Section 5.
    """
    if name not in _MAPS:
        raise unknown_name("class map", name, CLASS_MAPS, "Or give a map of class names or ids.")
    return _MAPS[name]


def targets_of(
    class_map: str | Mapping[Any, Any], num_classes: int, class_names: Sequence[str] = ()
) -> Int[np.ndarray, " k"]:
    """Class id -> class id it is taken for; its own where the map does not name it.

    Args:
        class_map: a name of `CLASS_MAPS`, or class name or id -> class name or id.
        num_classes: k.
        class_names: of the class ids; a map by name needs them.

    Raises:
        UnknownName: the map names a class that is not there.
        InvalidArgument: a class that goes to itself, or a map that names nothing.
    """
    if isinstance(class_map, str):
        class_map, usual = named_map(class_map)
        # The same classes are written "maple tree" here and there.
        class_names = [name.replace(" ", "_") for name in class_names] if class_names else usual
        if not class_names or len(class_names) != num_classes:
            raise invalid(
                "num_classes", num_classes, f"{len(usual)}, the classes of this map, or the names of yours",
                "Give `class_names`.",
            )  # fmt: skip
    if not class_map:
        raise invalid("class_map", class_map, "a map that names a class or more")
    targets = np.arange(num_classes)
    for origin, target in class_map.items():
        i, j = (_class_id(each, num_classes, class_names) for each in (origin, target))
        if i == j:
            raise invalid("class_map", f"{origin!r} -> {target!r}", "a class that goes to another one")
        targets[i] = j
    return targets


def _class_id(named: Any, num_classes: int, class_names: Sequence[str]) -> int:
    """An id as it is; a name by its place. Where classes are called by numbers, a text is a name."""
    if isinstance(named, int | np.integer) and not isinstance(named, bool):
        if 0 <= named < num_classes:
            return int(named)
        raise unknown_name("class id in `class_map`:", str(named), [f"0 to {num_classes - 1}"])
    if not class_names:
        raise invalid(
            "class_map", f"a map that names the class {named!r}", "ids where there are no `class_names`",
            "Give `class_names`.",
        )  # fmt: skip
    if named not in class_names:
        raise unknown_name("class in `class_map`:", str(named), class_names)
    return list(class_names).index(named)


def read_class_map(name: str) -> str | dict[Any, Any]:
    """A class map by its name, or from a YAML or JSON file of class -> class.

    Raises:
        UnknownName: neither a map of the literature nor a file.
        InvalidArgument: the file holds no map.
    """
    path = Path(name)
    if not path.is_file():
        if name not in CLASS_MAPS:
            raise unknown_name("class map", name, CLASS_MAPS, "Or name a YAML file of class: class lines.")
        return name
    try:
        read = read_yaml_file(path)
    except BadYaml as error:
        raise invalid(
            "class_map", name, "a YAML or JSON file of class names or ids", f"It is not YAML: {error}."
        ) from error
    if not isinstance(read, dict):
        raise invalid("class_map", name, "a file that maps class names or ids: 'cat: dog' a line")
    return read
