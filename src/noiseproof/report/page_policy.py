"""Templates of pages, their style and script, and the policy that lets a browser use these and nothing else.

The policy has the hash of each, so that neither style nor script that came in with a name runs.
"""

from __future__ import annotations

import base64
import hashlib
import json
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING

from markupsafe import Markup

if TYPE_CHECKING:
    from jinja2 import Template


@cache
def page_template(name: str, room: str = "noiseproof.report") -> Template:
    """A template of a room, which may extend those of `report`; compiled once, since that takes longest."""
    from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined  # 0.1 s

    loaders = [PackageLoader(one) for one in dict.fromkeys((room, "noiseproof.report"))]
    environment = Environment(
        loader=ChoiceLoader(loaders), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    environment.filters["as_json"] = lambda value: json.dumps(value, indent=2, ensure_ascii=False)
    return environment.get_template(name)


@cache
def page_parts(*, has_script: bool) -> dict[str, Markup]:
    """Values for a template: `css`, `script` and `policy`, the Content-Security-Policy of the page.

    Args:
        has_script: of the page.
    """
    css, script = _read("page.css"), _read("page.js")
    policy = page_policy(css, script if has_script else None)
    # All three are files of ours or made from them.
    return {"css": Markup(css), "script": Markup(script), "policy": Markup(policy)}


def page_policy(style: str, script: str | None, *, may_load_scripts: bool = False) -> str:
    """The Content-Security-Policy of a page.

    Args:
        style: the one style element.
        script: the one script element; `None` without.
        may_load_scripts: whether the script loads further ones, and asks the server of the page, if any.
    """
    policy = (
        f"default-src 'none'; img-src data:; style-src {_hash(style)}; base-uri 'none'; form-action 'none'"
    )
    policy += f"; script-src {_hash(script)}" if script is not None else ""
    return f"{policy} 'strict-dynamic'; connect-src 'self'" if may_load_scripts else policy


def _read(name: str) -> str:
    return (resources.files("noiseproof.report") / "templates" / name).read_text("utf-8")


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
