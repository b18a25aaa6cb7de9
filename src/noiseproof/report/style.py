"""What all figures look like, and how they become files: the same bytes for the same numbers.

Only `Figure` objects are made, so there is no window and no "current figure". In an SVG text stays text: the
file is a third of the size with outlines, and the page's own font is used.
"""

from __future__ import annotations

import io
import re
from typing import Any

import matplotlib as mpl
from markupsafe import escape
from matplotlib.axes import Axes
from matplotlib.figure import Figure

# Okabe & Ito 2008: told apart by every common form of colour blindness, and in grey print.
PALETTE = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#D55E00", "#56B4E9", "#8A7A00")
INK, MUTED, GRID = "#1b2733", "#5b6b7a", "#e3e8ed"
_PNG_DPI = 200


def shortened(text: str, length: int = 26) -> str:
    """The text on one line, cut in the middle where it is longer than `length`."""
    line = " ".join(text.split())
    if len(line) <= length:
        return line
    tail = (length - 1) // 2
    return f"{line[: length - 1 - tail]}…{line[-tail:]}"


def styled(axis: Axes, title: str) -> None:
    """Few lines, muted; the title on the left."""
    for side in ("top", "right", "left"):
        axis.spines[side].set_visible(False)
    axis.spines["bottom"].set_color(MUTED)
    axis.tick_params(colors=MUTED, labelsize=9, length=0)
    axis.tick_params(which="minor", length=0, labelleft=False)
    axis.set_axisbelow(True)
    if title:
        axis.set_title(title, loc="left", color=INK, fontsize=11, fontweight="bold")


def legend(figure: Figure, axis: Axes, *, num_columns: int) -> None:
    """The entries of one panel, above all panels."""
    figure.legend(
        *axis.get_legend_handles_labels(), loc="outside upper left", ncols=num_columns, frameon=False,
        fontsize=9.5, labelcolor=INK,
    )  # fmt: skip


def plain(text: str) -> str:
    """No mathematics in names: a dollar sign is a dollar sign, and a leading underscore hides nothing."""
    return ("\u200b" if text.startswith("_") else "") + text.replace("$", r"\$")


def svg(figure: Figure, name: str, description: str) -> str:
    """The figure as text for a page.

    Args:
        figure: drawn.
        name: of it, unique on its page.
        description: what it shows, for those who cannot see it.
    """
    out = io.StringIO()
    settings: Any = {
        "svg.fonttype": "none",
        "svg.hashsalt": f"noiseproof-{name}",
        "font.family": "DejaVu Sans",
    }
    no_metadata = dict.fromkeys(("Creator", "Date", "Format", "Type"))
    with mpl.rc_context(settings):
        figure.savefig(out, format="svg", metadata=no_metadata, transparent=True)
    text = out.getvalue()
    text = _without_style(text[text.index("<svg ") :])
    # Several figures share one page, so that their ids must differ.
    text = re.sub(r'(\bid="|url\(#|href="#)', rf"\g<1>{name}-", text)
    label = f'<svg role="img" aria-label="{escape(description)}" stroke-linejoin="round" '
    size = re.compile(r'<svg ((?:(?!width=|height=)[^>])*)(?:width="[^"]*" )?')
    return size.sub(lambda start: label + start[1], text, count=1)


def _without_style(text: str) -> str:
    """The drawing with attributes in place of styles, which the policy of a page refuses."""
    text = re.sub(r"<defs>\s*<style[^>]*>[^<]*</style>\s*</defs>\s*", "", text, count=1)
    return re.sub(r"<[a-zA-Z][^<>]*>", lambda tag: re.sub(r'style="([^"]*)"', _attributes, tag[0]), text)


def _attributes(style: re.Match[str]) -> str:
    entries = (entry.partition(":") for entry in style[1].split(";") if entry.strip())
    values = {name.strip(): value.strip() for name, _, value in entries}
    return " ".join(f'{name}="{value}"' for name, value in values.items())


def png(figure: Figure) -> bytes:
    """The figure as pixels on white, for slides and places that take no SVG."""
    out = io.BytesIO()
    with mpl.rc_context({"font.family": "DejaVu Sans"}):
        figure.savefig(out, format="png", dpi=_PNG_DPI, metadata={"Software": None}, facecolor="white")
    return out.getvalue()
