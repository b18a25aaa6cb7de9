"""Provenance of results: command, versions and hardware."""

from __future__ import annotations

import datetime
import os
import platform
import re
from collections.abc import Mapping
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

from noiseproof.core.threads import num_cores
from noiseproof.core.version import __version__


def made_with(command: str) -> dict[str, Any]:
    """Command, time, versions and hardware of a stage that is done now."""
    return {
        "command": command,
        "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "versions": versions(),
        "hardware": hardware(),
    }


@cache
def versions() -> dict[str, str]:
    """Package -> version, for noiseproof, its dependencies and those of its extras that are installed."""
    installed = {"noiseproof": __version__}
    try:
        requirements = metadata.requires("noiseproof") or []
    except metadata.PackageNotFoundError:  # from a source tree
        requirements = []
    for requirement in requirements:
        name = re.split(r"[^\w.-]", requirement, maxsplit=1)[0]
        try:
            installed[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return dict(sorted(installed.items()))


def hardware() -> dict[str, Any]:
    """CPU, cores this process may use, memory, GPU, operating system, Python."""
    return {
        "cpu": _cpu_name(),
        "num_cores": num_cores(),
        "memory_gib": _memory_gib(),
        "gpu": _gpu_name(),
        "os": platform.platform(terse=True),
        "python": platform.python_version(),
    }


def differences(made_with: Mapping[str, Mapping[str, Any]], reference: str) -> list[str]:
    """Sentences about stages that were made with other versions or hardware than the one of reference.

    Args:
        made_with: stage -> `versions` and `hardware` it was made with.
        reference: the stage whose values the card has.
    """
    lines = []
    for stage, made in made_with.items():
        others = [
            f"{name} {value}"
            for part in ("versions", "hardware")
            for name, value in made[part].items()
            if value != made_with[reference][part].get(name)
        ]
        if others:
            lines.append(f"The stage '{stage}' was done by an earlier start, with {', '.join(others)}.")
    return lines


def _cpu_name() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass  # not Linux
    return platform.processor() or platform.machine()


def _memory_gib() -> float | None:
    try:
        return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1)
    except (AttributeError, ValueError, OSError):
        return None  # not POSIX


def _gpu_name() -> str | None:
    import torch

    return torch.cuda.get_device_name() if torch.cuda.is_available() else None
