from html.parser import HTMLParser

import pytest


class _Links(HTMLParser):
    def __init__(self):
        super().__init__()
        self.found, self.ids = [], []

    def handle_starttag(self, tag, attrs):
        values = dict(attrs)
        self.found += [values[name] for name in ("src", "href", "xlink:href") if name in values]
        self.ids += [values["id"]] if "id" in values else []


@pytest.fixture
def result(start):
    encoders = [{"name": "features:", "noise": 0.1, "family": "given"}]
    return start(
        backbones=encoders, tables=["models", "noise-x-noise"], figures=["influence", "singular-values"],
        noise=["none", "symmetric:0.4"], claim="Noise <hurts> & helps.",
    )  # fmt: skip


def test_the_page_says_claim_command_and_results(result):
    page = result.page.read_text()
    assert "<h1>Claim: Noise &lt;hurts&gt; &amp; helps.</h1>" in page
    assert "noiseproof.study.run_study(...)" in page
    assert "Found" not in page
    assert "Toy size" not in page
    assert "symmetric 0.4" in page


def test_a_toy_says_that_its_numbers_mean_nothing(start):
    page = start(found="It rose by 2 points.", scale="toy").page.read_text()
    assert "Toy size" in page
    assert "Found by us" not in page
    assert (
        "Found by us, with the recipe as it is shipped: It rose" in start(found="It rose.").page.read_text()
    )


def test_the_page_asks_nothing_of_a_network(result):
    links = _Links()
    links.feed(result.page.read_text())
    assert links.found
    assert all(link.startswith(("#", "data:")) for link in links.found)
    assert len(links.ids) == len(set(links.ids))


def test_tables_are_written_in_three_formats(result):
    names = {path.name for path in (result.folder / "tables").iterdir()}
    assert names == {f"{t}{s}" for t in ("models", "noise-x-noise") for s in (".md", ".csv", ".tex")}


def test_a_second_start_writes_the_same_tables(start, result):
    before = {path: path.read_bytes() for path in (result.folder / "tables").iterdir()}
    encoders = [{"name": "features:", "noise": 0.1, "family": "given"}]
    start(backbones=encoders, tables=["models", "noise-x-noise"], noise=["none", "symmetric:0.4"])
    assert {path: path.read_bytes() for path in before} == before
