"""The pages run their own style and script and nothing else, whatever the names in a run folder are."""

import base64
import hashlib
import re

import pytest
from matplotlib.figure import Figure

from noiseproof.report.page import render
from noiseproof.report.page_policy import page_parts
from noiseproof.report.run_folder import load_run
from noiseproof.report.style import _without_style, svg

EVIL = "\"'><script>alert(1)</script><style>*{color:red}</style><b style='x' onclick=alert(1)>&"


def hashed(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


@pytest.mark.parametrize("names", [("cat", "dog"), (f"cat{EVIL}", "dog")], ids=["plain", "evil"])
def test_style_and_script_of_the_page_are_those_of_its_policy(fake_run, names):
    run = fake_run(classes=names, ood=(f"sketch{names[0]}",), notes=(f"note {names[0]}",))
    page = render(load_run(run))
    (policy,) = re.findall(r'http-equiv="Content-Security-Policy" content="([^"]*)"', page)
    assert "unsafe" not in policy
    for tag in ("style", "script"):
        (content,) = re.findall(rf"<{tag}>(.*?)</{tag}>", page, re.DOTALL)
        assert f"{tag}-src {hashed(content)};" in f"{policy};"
    tags = re.findall(r"<[a-zA-Z][^<>]*>", page)
    assert [tag for tag in tags if re.search(r"\s(style|on\w+)\s*=", re.sub(r'"[^"]*"', '""', tag))] == []


def test_pages_without_a_script_allow_none():
    assert "script-src" not in page_parts(has_script=False)["policy"]
    assert page_parts(has_script=False)["policy"].startswith("default-src 'none'; ")


def test_figures_have_attributes_instead_of_styles():
    figure = Figure()
    axis = figure.subplots()
    axis.plot([1, 2], [1, 2], linestyle=(0, (4, 3)), label='a style="fill: red" b')
    axis.legend()
    drawn = svg(figure, "n", f"of {EVIL}")
    assert "<style" not in drawn
    assert re.findall(r'<[a-zA-Z][^<>]*style="', drawn) == []
    assert 'a style="fill: red" b' in drawn.replace("&quot;", '"')  # the text of somebody stays
    assert "<script" not in drawn


def test_styles_become_attributes():
    before = '<svg height="1"><defs><style>*{a: b}</style></defs><path d="M 0\n0" style="fill: none; '
    before += "stroke-dasharray: 1.3,1.1; font-family: 'A B', serif; fill: red\"/><text>x</text></svg>"
    after = '<svg height="1"><path d="M 0\n0" fill="red" stroke-dasharray="1.3,1.1" '
    assert _without_style(before) == after + "font-family=\"'A B', serif\"/><text>x</text></svg>"
