import json
import re
from html.parser import HTMLParser

import pytest

from noiseproof.core.errors import DamagedFile
from noiseproof.report.page import write_report

EVIL = "<script>alert('x')</script>\"&"
OPTIONS = {
    "plain": {},
    "one seed, no out-of-domain set, truth unknown": {"seeds": (0,), "ood": (), "knows_truth": False},
    "13 out-of-domain sets": {"ood": tuple(f"set {i}" for i in range(13)), "seeds": (0, 1)},
    "200 classes": {"classes": tuple(f"class {i}" for i in range(200)), "seeds": (0, 1)},
    "two classes of text": {"classes": ("ham", "spam"), "kind": "text"},
    "features, no notes": {"kind": "features", "notes": ()},
    "long names": {"classes": ("gorilla " * 40, "b"), "ood": ("somewhere " * 40,), "train": "path/" * 60},
}
VOID = {"meta", "img", "br", "link", "input"}


class Page(HTMLParser):
    """Collects tags and their attributes, and fails on tags that do not nest."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.open, self.words = [], [], []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)


def page(path):
    return write_report(path).read_text()


def named(parsed, tag):
    return [attributes for name, attributes in parsed.tags if name == tag]


@pytest.mark.slow_but_first
@pytest.mark.parametrize("name", OPTIONS)
def test_the_page_asks_nothing_of_a_network(fake_run, name):
    text = page(fake_run(**OPTIONS[name]))
    parsed = Page(text)
    for tag, attributes in parsed.tags:
        for key in ("src", "href", "xlink:href", "action", "data", "srcset"):
            value = attributes.get(key)
            assert value is None or value.startswith(("#", "data:image/png;base64,")), (tag, key, value)
    assert not re.search(r"@import|url\((?!#)", text)
    outside = re.sub(r'xmlns(:\w+)?="[^"]*"', "", text)
    assert not re.search(r"https?://", outside)


def test_the_page_holds_every_part(fake_run):
    parsed = Page(page(fake_run()))
    ids = [attributes.get("id") for attributes in named(parsed, "section")]
    assert ids == ["next", "labels", "accuracy", "notes", "research"]
    folded = [attributes.get("id") for attributes in named(parsed, "details") if attributes.get("id")]
    assert folded == ["run", "detection", "metrics", "spectrum", "classes", "card"]
    most_suspicious = [each for each in named(parsed, "img") if "labelled" in each["alt"]]
    assert len(most_suspicious) == 48
    figures = [attributes for attributes in named(parsed, "svg") if attributes.get("role") == "img"]
    assert len(figures) == 3
    assert "± " in " ".join(parsed.words)


def test_the_same_run_gives_the_same_bytes(fake_run):
    path = fake_run()
    assert page(path) == page(path)


def test_names_cannot_become_markup(fake_run):
    path = fake_run(
        classes=(f"cat {EVIL}", f"dog {EVIL}"), heads={f"head {EVIL}": 0}, ood=(f"set {EVIL}",), train=EVIL,
        kind="text", notes=(f"note {EVIL}",),
    )  # fmt: skip
    entries = json.loads((path / "thumbnails.json").read_text())
    entries[0] |= {"example_id": f"id {EVIL}", "text": f"text {EVIL}"}
    (path / "thumbnails.json").write_text(json.dumps(entries))
    card = json.loads((path / "run.json").read_text())
    card |= {"command": f"noiseproof run {EVIL}", "config": {EVIL: EVIL}, "versions": {EVIL: EVIL}}
    (path / "run.json").write_text(json.dumps(card))
    text = page(path)
    parsed = Page(text)
    assert len(named(parsed, "script")) == 1
    assert "alert('x')" not in "".join(re.findall(r"<script>.*?</script>", text, re.DOTALL))
    words = " ".join(parsed.words)
    for word in ("cat", "id", "text", "note", "noiseproof run"):
        assert f"{word} {EVIL}" in words
    allowed = {
        "data-value",
        "data-sortable",
        "class",
        "id",
        "title",
        "aria-label",
        "role",
        "tabindex",
        "style",
        "alt",
    }
    for tag, attributes in parsed.tags:
        if tag in {"td", "li", "p", "img", "div"}:
            assert set(attributes) <= allowed | {"src", "loading"}, (tag, attributes)


def test_texts_are_shown_as_text(fake_run):
    parsed = Page(page(fake_run(kind="text")))
    assert len(named(parsed, "blockquote")) == 48
    assert named(parsed, "img") == []


def test_features_without_pictures_still_list_the_suspects(fake_run):
    parsed = Page(page(fake_run(kind="features")))
    assert named(parsed, "img") == named(parsed, "blockquote") == []
    assert "photo/" in " ".join(parsed.words)


def test_one_seed_shows_no_interval(fake_run):
    text = page(fake_run(seeds=(0,)))
    assert "±" not in text
    assert "One seed" in text


def test_detection_is_shown_only_where_the_truth_is_known(fake_run):
    assert "Found against the truth" not in page(fake_run(knows_truth=False))


def test_a_damaged_run_leaves_the_old_report_as_it_was(fake_run):
    path = fake_run()
    before = page(path)
    (path / "spectrum.json").write_text("[{}]")
    with pytest.raises(DamagedFile, match=r"spectrum\.json' is damaged: set: Field required"):
        write_report(path)
    assert (path / "report.html").read_text() == before
