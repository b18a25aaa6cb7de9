"""The review page as people use it, in a real browser."""

import csv
import threading
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from small_pages import judged, small_page

from noiseproof.core.errors import BadData
from noiseproof.decisions.record import Decision
from noiseproof.decisions.settle import settle
from noiseproof.review import review_page
from noiseproof.review.decision_log import DecisionLog
from noiseproof.review.review_page import read_page, write_review
from noiseproof.review.review_server import ReviewServer

EVIL = "</script><script>document.title='BAD'</script><img src=x onerror=\"document.title='BAD'\">"


def saved(page):
    """Rows of decisions.csv as the page saves it, without times and what the decisions are about."""
    with page.expect_download() as download:
        page.click("#save")
    with Path(download.value.path()).open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    assert all(row["when"].endswith("Z") and row["given_label"] for row in rows)
    return download.value.suggested_filename, [tuple(row.values())[:4] for row in rows]


def expect(page, element, text):
    """Wait until an element has a text; functions in the page would be refused by its policy."""
    page.locator(f"#{element}", has_text=text).wait_for()


def press(page, *keys):
    for key in keys:
        page.keyboard.press(key)


def test_decisions_by_keyboard_leave_as_a_file_and_stay(open_page, tmp_path):
    path, issues = small_page(tmp_path / "a")
    page = open_page(path)
    assert page.inner_text("#position") == "1 of 4"
    assert page.inner_text("#labels") == "ant bee"
    page.fill("#who", "Ada")
    page.keyboard.press("Tab")
    page.click("#position")
    press(page, "w", "q", "e", "n")  # the four suspects: rows 0, 3, 6, 9
    assert "All 4 of this list are decided" in page.inner_text("#finished")
    press(page, "u")
    assert not page.is_visible("#finished")
    press(page, "3")  # not unsure, but a cat
    assert page.is_visible("#finished")
    assert page.inner_text("#progress") == "4 of 4 suspects decided"
    assert page.locator("footer").bounding_box()["y"] + page.locator("footer").bounding_box()["height"] <= 800
    page.select_option("#scope", "all")
    assert not page.is_visible("#finished")
    press(page, "ArrowRight", "Control+z", "/")  # undone again, and a class by its name
    page.keyboard.type("be")
    page.keyboard.press("Enter")
    name, rows = saved(page)
    ids = issues.ids.tolist()
    assert rows == [
        (ids[0], "accept", "bee", "Ada"),
        (ids[3], "keep", "ant", "Ada"),
        (ids[6], "exclude", "", "Ada"),
        (ids[9], "accept", "bee", "Ada"),
    ]
    assert name == "decisions.csv"
    page.wait_for_timeout(300)  # the browser hands its storage to the next process in its own time
    page.reload()
    assert saved(page)[1] == rows
    other, _ = small_page(tmp_path / "b", classes=("ant", "bee", "dog"))
    empty = open_page(other, context=page.context)
    empty.click("#save")
    assert "nothing to save" in empty.inner_text("#message")


def test_what_several_classes_are_called_by_is_no_choice(open_page, tmp_path):
    path, _ = small_page(tmp_path)
    page = open_page(path)
    press(page, "/")
    page.keyboard.type("a")
    page.keyboard.press("Enter")
    assert "“a” is in the names of 2 classes" in page.inner_text("#message")
    page.keyboard.type("nt")
    page.keyboard.press("Enter")
    assert saved(page)[1][0][1:3] == ("keep", "ant")


def test_classes_that_are_digits_have_their_own_keys(open_page, tmp_path):
    path, issues = small_page(tmp_path, classes=("0", "1", "2"))
    page = open_page(path)
    press(page, "2")
    assert saved(page)[1] == [(issues.ids[0], "relabel", "2", "")]
    assert page.inner_text("#chips button:first-child kbd") == "0"


def test_a_new_class_is_asked_for_twice_and_formulas_are_escaped(open_page, tmp_path):
    path, _ = small_page(tmp_path, ids=[f"=cmd{row}" for row in range(12)])
    page = open_page(path)
    press(page, "/")
    page.keyboard.type("=wasp")
    page.keyboard.press("Enter")
    assert "Press Enter again" in page.inner_text("#message")
    page.keyboard.press("Enter")
    _, rows = saved(page)
    assert rows == [("'=cmd0", "relabel", "'=wasp", "")]
    page.set_input_files("#file", {"name": "d.csv", "mimeType": "text/csv", "buffer": (
        b'"example_id","decision","label","who","when"\r\n'
        b'"\'=cmd3","relabel","a ""b""\nc","B","2026-11-30T01:00:00Z"\r\n'
    )})  # fmt: skip
    expect(page, "message", "Decisions about 1 example loaded; no class of the data is called")
    assert saved(page)[1][0] == ("'=cmd3", "relabel", 'a "b"\nc', "B")


def test_a_file_that_was_cut_is_not_loaded_and_new_classes_are_named(open_page, tmp_path):
    path, issues = small_page(tmp_path)
    page = open_page(path)
    head, row = "example_id,decision,label,who,when", f"{issues.ids[0]},relabel,wasp,B,2026-11-30T01:00:00Z"
    for text, message in (
        (f"{head}\r\n{row[:-3]}", "seems to be cut"),
        (f'{head}\r\n"{row}\r\n', "seems to be cut"),
        (f"{head}\r\n{row}\r\n", "no class of the data is called “wasp”"),
    ):
        page.set_input_files("#file", {"name": "d.csv", "mimeType": "text/csv", "buffer": text.encode()})
        expect(page, "message", message)
    assert saved(page)[1] == [(issues.ids[0], "relabel", "wasp", "B")]


def load_text(page, text, *, name="d.csv"):
    page.set_input_files("#file", {"name": name, "mimeType": "text/csv", "buffer": text.encode()})
    page.locator("#message", has_text=" ").wait_for()
    return page.inner_text("#message")


HEAD = "example_id,decision,label,who,when\n"
T1, T2 = "2026-11-30T10:00:00Z", "2026-11-30T11:00:00Z"
BAD_FILES = (
    (HEAD + "{0},keep,,ann,\n{0},exclude,,bob,\n", "People disagree on ant/0.png (ann: ant; bob: exclude)"),
    (HEAD + "{0},keep,,,\n{0},exclude,,,\n", "People disagree on"),
    (HEAD + "nowhere,keep,,ann,\n", "1 decision of 1 are about examples that are not here, such as nowhere"),
    (HEAD + "{0},drop,,ann,\n", "is “drop”; allowed: keep, accept"),
    (HEAD + "{0},relabel,,ann,\n", "is a relabel without a label"),
    (HEAD + "{0},keep,cat,ann,\n", "is about the label “cat”, but the given label is “ant” here"),
    ("example_id,decision,given_label\n{0},exclude,cat\n", "is about the label “cat”"),
    ("example_id,decision,content\n{0},keep,abc\n", "is about another example: rows of the data were added"),
    (HEAD + "{0},keep,,ann,yesterday\n", "has the time “yesterday”"),
    (HEAD + "{0},keep\n", "Line 2 has 2 cells"),
    (HEAD + "{0},,,,\n", "This file has no decision"),
    ("example_id,decision,decision\n{0},keep,accept\n", "Two columns of this file have one name"),
    ("a,b\n1,2\n", "Give files of other tools to noiseproof apply"),
)


def test_files_that_apply_would_refuse_are_refused_by_the_page(open_page, tmp_path):
    path, issues = small_page(tmp_path, contents=[f"{row:016x}" for row in range(12)])
    page = open_page(path)
    for text, message in BAD_FILES:
        assert message in load_text(page, text.format(issues.ids[0]))
    assert page.inner_text("#progress") == "0 of 4 suspects decided"


def test_the_page_reads_forms_semicolons_and_the_log(open_page, tmp_path):
    path, issues = small_page(tmp_path)
    page, ids = open_page(path), issues.ids.tolist()
    form = f"example_id;given_label;suggested_label;decision;label;who;when\n{ids[0]};ant;bee;Accept;;ann;\n"
    assert "Decisions about 1 example loaded." in load_text(page, form)
    assert "1 example loaded" in load_text(
        page, f"{HEAD}/data/photos/{ids[3]},keep,,ann,\n".replace(",", "\t")
    )
    log = DecisionLog(tmp_path, read_page(path).identity)
    log.append(ids[6], "relabel", label="cat", who="Zoë \U0001f41d\x7f", when=T1)
    log.append(ids[9], "exclude", label="", who="bob", when=T1)
    log.append(ids[9], "", label="", who="bob", when=T2)  # taken back
    text = (tmp_path / "decisions.jsonl").read_text()
    assert "1 example loaded" in load_text(page, text, name="decisions.jsonl")
    assert sorted(saved(page)[1]) == [
        (ids[0], "accept", "bee", "ann"), (ids[3], "keep", "ant", "ann"),
        (ids[6], "relabel", "cat", "Zoë \U0001f41d\x7f"),
    ]  # fmt: skip
    changed = text.replace("relabel", "exclude")
    assert "Line 1 has changed since it was written" in load_text(page, changed, name="decisions.jsonl")
    other = text.replace(read_page(path).identity, "x").replace('"checksum"', '"sum"')
    assert "are about other examples or labels" in load_text(page, other, name="decisions.jsonl")


def test_the_later_of_a_loaded_and_an_own_decision_counts(open_page, tmp_path):
    path, issues = small_page(tmp_path)
    page, first = open_page(path), issues.ids[0]
    page.fill("#who", "ann")
    page.keyboard.press("Tab")
    page.click("#position")
    press(page, "w")
    load_text(page, f"{HEAD}{first},exclude,,bob,{T1}\n")
    assert saved(page)[1] == [(first, "accept", "bee", "ann")]
    load_text(page, f"{HEAD}{first},exclude,,bob,2126-01-01\n")
    assert saved(page)[1] == [(first, "exclude", "", "bob")]


def test_which_decision_counts_is_the_same_in_the_page_and_in_apply(open_page, tmp_path):
    path, _ = small_page(tmp_path)
    rng = np.random.default_rng(0)
    cases = [
        [
            {
                "example_id": "x", "decision": str(rng.choice(["keep", "accept", "exclude", "unsure"])),
                "label": "", "who": str(rng.choice(["", "ann", "bob"])),
                "when": str(rng.choice(["", T1, T2])),
            }
            for _ in range(rng.integers(1, 5))
        ]
        for _ in range(400)
    ]  # fmt: skip
    for one in (one for rows in cases for one in rows):
        one["label"] = {"keep": "ant", "accept": "bee"}.get(one["decision"], "")

    def by_apply(rows):
        try:
            return settle([Decision(**row) for row in rows]).counting["x"].outcome
        except BadData:
            return None

    expected = [by_apply(rows) for rows in cases]
    found = open_page(path).evaluate("(cases) => cases.map(settled)", cases)
    assert [one and Decision(**one).outcome for one in found] == expected
    assert 20 < expected.count(None) < 380


@pytest.mark.parametrize("kind", ["image", "text", "features"])
def test_names_and_texts_of_others_are_shown_and_never_run(open_page, tmp_path, kind):
    ids = [f"{EVIL}{row}" for row in range(12)]
    path, _ = small_page(tmp_path, kind=kind, ids=ids, classes=(f"a{EVIL}", "b", "c"), texts=[EVIL] * 12)
    page = open_page(path)
    assert page.inner_text("#id") == ids[0]
    assert page.inner_text("#labels del") == f"a{EVIL}"
    if kind == "text":
        assert page.inner_text("#content blockquote") == EVIL
    page.keyboard.press("w")
    assert page.title() == "Review photos · noiseproof"
    assert page.evaluate("document.querySelectorAll('main script').length") == 0


def test_reasons_filters_and_map(open_page, tmp_path):
    path, issues = small_page(tmp_path)
    page = open_page(path)
    assert page.locator("#near .row button").count() == 5
    assert page.inner_text("#copies .row") == "bee"
    page.click("#copies .row button")
    assert page.inner_text("#id") == issues.ids[1]
    page.select_option("#scope", "all")
    page.select_option("#of", "1")
    assert page.inner_text("#count") == "4 examples"
    page.select_option("#of", "")
    page.locator("#map").scroll_into_view_if_needed()
    box = page.locator("#map").bounding_box()
    corners = [(0.02, 0.02), (0.98, 0.02), (0.98, 0.98), (0.02, 0.98)]
    points = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in corners]
    page.mouse.move(*points[0])
    page.mouse.down()
    for point in points[1:]:
        page.mouse.move(*point)
    page.mouse.up()
    assert page.inner_text("#count") == "12 examples selected on the map"
    page.click("#free")
    assert page.inner_text("#count") == "12 examples"


def test_a_drawn_sample_comes_first_and_in_its_order_until_it_is_decided(open_page, tmp_path):
    path, issues = small_page(tmp_path, drawn=[7, 0, 4])
    page = open_page(path)
    assert page.input_value("#scope") == "drawn"
    seen = []
    for key in "qnq":
        seen.append(page.inner_text("#id"))
        press(page, key)
    assert seen == [issues.ids[row] for row in (7, 0, 4)]
    assert "All 3 of this list are decided" in page.inner_text("#finished")
    page.reload()
    assert page.input_value("#scope") == "suspects"
    page.select_option("#scope", "drawn")
    assert page.inner_text("#count") == "3 examples"


def test_parts_beside_the_page_are_checked(open_page, tmp_path, monkeypatch):
    monkeypatch.setattr(review_page, "_MOST_INSIDE", 10)
    monkeypatch.setattr("noiseproof.review.contents.PART_ROWS", 5)
    monkeypatch.setattr(review_page, "PART_ROWS", 5)
    path, _ = small_page(tmp_path)
    parts = sorted(part.name for part in (tmp_path / "review").iterdir())
    assert parts == ["part-00000.js", "part-00001.js", "part-00002.js"]
    page = open_page(path)
    page.wait_for_selector("#content img")
    with serving(path) as server:
        open_page(server.url).wait_for_selector("#content img")
    part = tmp_path / "review" / parts[0]
    part.write_text(part.read_text().replace("jpeg", "jpeh", 1))
    page.reload()
    expect(page, "message", "damaged")
    assert page.locator("#content img").count() == 0


@contextmanager
def serving(path, port=0):
    data = read_page(path)
    log = DecisionLog(path.parent, data.identity)
    with ReviewServer(path, data, log, port=port, who="Bob") as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


def test_tabs_of_a_server_share_a_log_and_wait_for_it(open_page, tmp_path):
    elsewhere = Decision("cat/11.png", "exclude", who="Cy", when="2026-11-30T09:00:00Z")
    path, issues = small_page(tmp_path, decisions=[elsewhere])
    with serving(path) as server:
        one = open_page(server.url)
        other = open_page(server.url)
        one.keyboard.press("w")
        expect(other, "progress", "1 of 4 suspects decided, 1 other")
        assert one.input_value("#who") == "Bob"
        other.keyboard.press("ArrowRight")
        other.keyboard.press("e")
        expect(one, "progress", "2 of 4")
        expect(one, "saved", "✓ All saved on disk")
    one.keyboard.press("q")
    expect(one, "message", "Not on disk yet: 1 decision (")
    expect(one, "saved", "✗ 1 decision not on disk")
    log = DecisionLog(tmp_path, read_page(path).identity)
    decisions = [(one.example_id, one.decision, one.who) for one in log.since(0)[1]]
    assert decisions == [(issues.ids[0], "accept", "Bob"), (issues.ids[3], "exclude", "Bob")]


def test_the_page_says_what_is_kept_and_what_is_in_a_file(open_page, tmp_path):
    path, _ = small_page(tmp_path, decisions=[Decision("ant/0.png", "accept", "bee", when=T1)])
    page = open_page(path)
    assert page.inner_text("#saved") == "✓ All in decisions.csv"  # known to the folder
    press(page, "w", "q")
    assert page.inner_text("#saved") == "✓ Kept in this browser, 2 not in a file"
    page.wait_for_timeout(300)  # see above
    page.reload()
    assert page.inner_text("#saved") == "✓ Kept in this browser, 2 not in a file"
    other = open_page(path, context=page.context)
    saved(page)
    expect(other, "saved", "✓ All in decisions.csv")
    assert page.inner_text("#saved") == "✓ All in decisions.csv"
    page.reload()
    assert page.inner_text("#saved") == "✓ All in decisions.csv"
    page.evaluate("void (Storage.prototype.setItem = () => { throw new Error('full') })")
    press(page, "e")
    assert "✗ Not kept by this browser: save decisions.csv" in page.inner_text("#saved")


def test_an_empty_list_says_so_and_features_are_named(open_page, tmp_path):
    path, issues = small_page(tmp_path, kind="features")
    page = open_page(path)
    assert page.inner_text(".item:first-child .small") == issues.ids[0]
    assert page.inner_text("#near .row button:first-child .small") in issues.ids.tolist()
    page.select_option("#state", "exclude")
    assert page.is_visible("#none")
    page.select_option("#state", "")
    assert not page.is_visible("#none")


@pytest.mark.parametrize(("width", "height"), [(1200, 700), (1081, 680), (1080, 800), (400, 800)])
def test_nothing_is_cut_or_overlaps(open_page, tmp_path, width, height):
    path, _ = small_page(tmp_path)
    page = open_page(path, viewport={"width": width, "height": height})
    press(page, "w", "q", "e")
    assert page.evaluate("document.documentElement.scrollWidth") == width
    cut = "all => all.filter((one) => one.scrollWidth > one.clientWidth + 1).map((one) => one.id)"
    assert page.eval_on_selector_all("h1, header button, #saved, #progress, #side .count, select", cut) == []
    if width > 1080:  # the map is whole, and so are its caption and its legend
        assert page.evaluate("where.scrollHeight <= where.clientHeight")


def test_on_a_phone_nothing_is_cut_and_a_tap_decides(open_page, tmp_path):
    path, _ = small_page(tmp_path)
    page = open_page(path, viewport={"width": 400, "height": 800}, has_touch=True, color_scheme="dark")
    assert page.evaluate("document.documentElement.scrollWidth") == 400
    page.tap("#actions [data-key=w]")
    assert page.inner_text("#progress") == "1 of 4 suspects decided"
    heights = page.eval_on_selector_all("#actions button", "all => all.map((one) => one.offsetHeight)")
    assert min(heights) >= 44
    touched = "button:not([hidden]), select, input:not([hidden])"
    sizes = "all => all.map((one) => Math.min(one.offsetHeight, one.offsetWidth)).filter((least) => least)"
    assert min(page.eval_on_selector_all(touched, sizes)) >= 40


def test_fifty_thousand_examples_are_a_list(open_page, tmp_path):
    issues, dataset = judged(50_000, kind="features")
    path = write_review(tmp_path / "review.html", issues, dataset, None)
    page = open_page(path)
    page.select_option("#scope", "all")
    assert page.inner_text("#count") == "50,000 examples"
    page.evaluate("document.getElementById('list').scrollTop = 1e9")
    page.wait_for_function(
        "[...document.querySelectorAll('.item')].some((row) => row.dataset.of === '49999')"
    )
    assert page.locator(".item").count() < 40
    press(page, "q", "w", "u")
    assert page.inner_text("#progress") == "1 of 16,667 suspects decided"
    page.select_option("#scope", "all")
    page.select_option("#of", "1")  # whose labels are not suspected
    assert page.inner_text("#position") == "1 of 16,667"
    press(page, "w")
    assert "No other class is suggested" in page.inner_text("#message")
    assert page.inner_text("#progress") == "1 of 16,667 suspects decided"
