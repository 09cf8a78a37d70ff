"""What was asked of a search, on the page of its job and in the report of its winner."""

import random
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from cli import html_report
from cli.client import Client
from tests.api.running import Caller
from tests.browser.job_page import lean, read
from tests.browser.searched import NO_VARIANT, SPLITS, TOO_FEW, searched, surfaces
from tests.browser.stack import DESKTOP, PHONE, Stack, Visit, violations

SAID = [
    "A search like this finds as much in data without an edge in 23 of 39 tries (p = 0.6). "
    "What it found is what luck finds.",
    "52 % of the search's winners on one half of the data were no better than the median on the "
    "other half (PBO 0.52); they lost money there in 91 % of the splits.",
    "None of the 50 best variants made money where they were chosen.",
    "Chosen anew 4 times, each time by everything before it, the winners lost 3.10 % in what came "
    "next. The best in hindsight made 25.00 %, buy and hold made 12.00 %.",
    "The 6 variants one step away from the winner: "
    "median \N{MINUS SIGN}0.90 %, worst \N{MINUS SIGN}67.00 %.",
    "With a probability of 7 % the best variant's Sharpe ratio is more than what the best of 20 "
    "lucky ones would show: it has 0.053 a day, luck 0.112.",
]


@pytest.fixture(scope="module")
def asked(stack: Stack, owner: Caller, job_id: str) -> str:
    """A job of whose search everything was asked."""
    return searched(stack, owner, job_id)


@pytest.fixture(scope="module")
def looked_at(stack: Stack, chromium: Browser, owner: Caller, asked: str) -> Iterator[Visit]:
    """Its page, which several tests read."""
    with stack.visit(chromium, user_id=owner.user_id) as visit:
        page = read(visit, asked)
        expect(page.locator("#trust .picture")).to_have_count(5)
        expect(page.locator("#surfaces .picture:not(.scale)")).to_have_count(1)
        yield visit
        assert visit.complaints == []


@pytest.fixture
def page(looked_at: Visit) -> Page:
    return looked_at.page


@pytest.fixture(scope="module")
def report(
    stack: Stack, owner: Caller, asked: str, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """The report of its winner, as `backtest report --html` writes it."""
    assert owner.user_id is not None
    file = tmp_path_factory.mktemp("report") / "report.html"
    variables = {
        "ROEHUB_API_URL": stack.url,
        "ROEHUB_API_TOKEN": stack.api.token(owner.user_id),
    }
    with Client(variables) as client:
        row = client.variant(asked, client.top(asked, limit=1)[0]["variant_key"])
        html_report.write(file, client, client.status(asked), row)
    return file


def proof(page: Page, title: str) -> Locator:
    return page.locator(".proof", has=page.get_by_role("heading", name=title))


def choice(page: Page, which: int) -> Locator:
    """What is shown of the surfaces: the pair of parameters (0), the figure (1)."""
    return page.locator("#surfaces select").nth(which)


def place_of(page: Page, cell: tuple[int, int], across: int = 6, up: int = 2) -> dict[str, float]:
    """Where on the surface the middle of a cell is; its frame is the figure that lies below it."""
    outer = page.locator(".surface .picture")
    frame = page.locator(".surface .picture > rect").first.bounding_box()
    box = outer.bounding_box()
    assert frame is not None
    assert box is not None
    return {
        "x": frame["x"] - box["x"] + (cell[0] + 0.5) * frame["width"] / across,
        "y": frame["y"] - box["y"] + (up - cell[1] - 0.5) * frame["height"] / up,
    }


def hover(page: Page, cell: tuple[int, int]) -> str:
    page.locator(".surface").hover(position=place_of(page, cell))  # type: ignore[arg-type]
    return page.locator(".surface-said").inner_text()


def test_every_answer_is_a_sentence(page: Page) -> None:
    assert page.locator("#trust .said").all_inner_texts() == SAID


def test_every_draw_without_an_edge_is_in_a_bin_as_good_or_worse(page: Page) -> None:
    bins = proof(page, "data without an edge").locator("rect title").all_text_contents()
    counts = dict.fromkeys(("as good as", "worse than"), 0)
    for text in bins:
        found = re.search(r": (\d+), (as good as|worse than) what was found", text)
        assert found is not None, text
        counts[found[2]] += int(found[1])
    drawing = random.Random(7)
    draws = [drawing.gauss(10, 4) for _ in range(38)]
    assert counts["as good as"] == sum(draw >= 9.0 for draw in draws)
    assert counts["worse than"] == sum(draw < 9.0 for draw in draws)


def test_every_split_is_a_point_and_those_that_lost_are_told_apart(page: Page) -> None:
    points = proof(page, "one half on the other").locator("circle")
    titles = points.locator("title").all_text_contents()
    lost = sum(", \N{MINUS SIGN}" in title for title in titles)
    assert len(titles) == SPLITS
    assert 0 < lost < SPLITS
    assert proof(page, "one half on the other").locator("circle.loss").count() == lost


def test_the_walk_is_a_curve_beside_hindsight_and_buy_and_hold(page: Page) -> None:
    walk = proof(page, "Walk-forward")
    drawn = {
        one.get_attribute("class"): one.get_attribute("d") for one in walk.locator(".curve").all()
    }
    assert set(drawn) == {"curve ", "curve hindsight", "curve hold"}
    assert [len(re.findall("[ML]", path or "")) for path in drawn.values()] == [4, 5, 5]
    assert (drawn["curve hold"] or "").count("M") == 2  # one of its returns is not known
    walk.get_by_text("each choice and its test").click()
    rows = walk.locator("tbody tr")
    expect(rows).to_have_count(4)
    expect(rows.nth(0)).to_contain_text("2024-02-09")
    expect(rows.nth(0)).to_contain_text("\N{MINUS SIGN}4.00 %")
    expect(rows.nth(3)).to_contain_text("none: too few trades")


def test_every_row_is_a_point_that_opens_it(page: Page, owner: Caller, asked: str) -> None:
    circles = proof(page, "training and in the test").locator("circle[data-at]")
    rows = lean(owner, asked)
    assert circles.count() == len(rows)
    circles.filter(has_text=re.compile("^rank 7:")).dispatch_event("click")
    expect(page.locator("#drawer-title")).to_contain_text("Rank 7")
    page.keyboard.press("Escape")
    expect(page.locator("#drawer")).to_be_hidden()


def test_the_winner_is_marked_where_its_parameters_are(
    page: Page, owner: Caller, asked: str
) -> None:
    blocks = {one["name"]: one for one in lean(owner, asked)[0]["payload_json"]["blocks"]}
    windows = (blocks["ma.sma"]["params"]["window"], blocks["momentum.rsi"]["params"]["window"])
    cell = ([10, 20, 30, 40, 50, 60].index(windows[0]), [7, 14].index(windows[1]))
    ring, frame = page.locator(".ring.winner").bounding_box(), place_of(page, cell)
    outer = page.locator(".surface .picture").bounding_box()
    assert ring is not None
    assert outer is not None
    middle = (ring["x"] + ring["width"] / 2, ring["y"] + ring["height"] / 2)
    assert middle == pytest.approx((outer["x"] + frame["x"], outer["y"] + frame["y"]), abs=2)
    assert "the winner is here" in hover(page, cell)


@pytest.mark.parametrize(
    ("cell", "words"),
    [
        (NO_VARIANT, "ma.sma window 60, momentum.rsi window 7: no variant."),
        (TOO_FEW, "none of 2 variants counts: ruined, or of too few trades."),
        ((1, 0), "ma.sma window 20, momentum.rsi window 7: best"),
        ((4, 1), "ma.sma window 50, momentum.rsi window 14: best"),
    ],
)
def test_a_cell_says_what_lies_there(page: Page, cell: tuple[int, int], words: str) -> None:
    assert words in hover(page, cell)
    button = page.get_by_role("button", name="Open the best variant there")
    assert button.is_disabled() == (cell in (NO_VARIANT, TOO_FEW))


def test_cells_have_the_colour_of_their_side_and_no_variant_has_none(page: Page) -> None:
    choice(page, 1).select_option("best")
    expect(page.locator('.surface[aria-label*="by best"] .cell.under')).to_be_attached()
    first = surfaces()[0]
    drawn = {
        tone: sum(
            (one.get_attribute("d") or "").count("M")
            for one in page.locator(f".surface .cell.{tone}").all()
        )
        for tone in ("gain", "loss", "few", "under")
    }
    known = [value for value in first["best"] if value is not None]
    assert drawn == {
        "gain": sum(value >= 0 for value in known),
        "loss": sum(value < 0 for value in known),
        "few": 1,
        "under": 11,
    }
    expect(page.locator(".surface .turn")).to_have_count(1)
    choice(page, 1).select_option("eligible")
    expect(page.locator(".surface .turn")).to_have_count(0)
    expect(page.locator(".surface .cell.amount").first).to_be_attached()
    choice(page, 1).select_option("median")


def test_another_pair_of_parameters_is_shown_when_it_is_chosen(page: Page) -> None:
    choice(page, 0).select_option("3")
    expect(page.locator(".surface")).to_have_attribute(
        "aria-label", re.compile("momentum.rsi window and momentum.rsi long_threshold")
    )
    choice(page, 0).select_option("1")
    expect(page.locator(".surface")).to_have_attribute("aria-label", re.compile("ma.sma window"))


def test_keys_walk_from_cell_to_cell_and_enter_opens_the_best_of_one(
    page: Page, owner: Caller, asked: str
) -> None:
    said = page.locator(".surface-said")
    page.locator(".surface").focus()
    for key in ["ArrowLeft"] * 7 + ["ArrowDown"] * 3:
        page.keyboard.press(key)
    expect(said).to_contain_text("ma.sma window 10, momentum.rsi window 7:")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowUp")
    expect(said).to_contain_text("ma.sma window 20, momentum.rsi window 14:")
    index = surfaces()[0]["best_index"][1 * 2 + 1]
    found = owner.get(f"/backtests/jobs/{asked}/variants/base/{index}").json()
    page.keyboard.press("Enter")
    if found["row"] is None:
        expect(page.locator("#drawer-title")).to_have_text(
            f"Variant {index} without stops and targets"
        )
        assert f"base={index}&report=" in page.url
        expect(page.locator("#drawer")).to_contain_text("Computed as a job of its own")
    else:
        expect(page.locator("#drawer-title")).to_contain_text(f"Rank {found['row']}")
    page.keyboard.press("Escape")
    expect(page.locator("#drawer")).to_be_hidden()
    expect(page.locator(".surface")).to_be_focused()


def test_what_cannot_be_told_says_why_and_what_was_not_asked_is_not_there(
    stack: Stack, chromium: Browser, owner: Caller, job_id: str
) -> None:
    why = "Only 1 of the variants could have been chosen; it takes 2 to choose."
    stored = searched(
        stack,
        owner,
        job_id,
        search=None,
        walk_forward={"unknown": "There is no variant to choose."},
        overfitting={"unknown": why},
    )
    with stack.visit(chromium, user_id=owner.user_id) as visit:
        page = read(visit, stored)
        expect(proof(page, "one half on the other")).to_contain_text(why)
        expect(proof(page, "Walk-forward")).to_contain_text("There is no variant to choose.")
        expect(proof(page, "without an edge")).to_have_count(0)
        expect(page.locator("#trust .picture")).to_have_count(1)
        assert visit.complaints == []


def test_a_job_that_was_not_validated_has_nothing_of_it(opened: Visit) -> None:
    expect(opened.page.locator(".top-rows tbody tr").first).to_be_visible()
    expect(opened.page.locator("#trust")).to_be_hidden()
    expect(opened.page.locator("#surfaces")).to_be_hidden()


@pytest.mark.parametrize(
    ("theme", "size"), [("light", PHONE), ("dark", DESKTOP)], ids=["phone", "desktop"]
)
def test_anybody_can_use_them(
    stack: Stack,
    chromium: Browser,
    owner: Caller,
    asked: str,
    report: Path,
    theme: Any,
    size: dict[str, int],
) -> None:
    with stack.visit(chromium, user_id=owner.user_id, theme=theme, size=size) as visit:
        page = read(visit, asked)
        expect(page.locator("#trust .picture")).to_have_count(5)
        assert violations(page, "#trust, #surfaces") == ""
        assert visit.fits()
        page.goto(report.as_uri())
        expect(page.locator("#trust .picture")).to_have_count(5)
        expect(page.locator("#surfaces .ring.winner")).to_have_count(1)
        assert page.locator("#trust .said").all_inner_texts() == SAID
        assert page.locator(".replays li").count() == 3
        assert page.get_by_role("button", name="Open the best").count() == 0
        assert violations(page, "#trust, #surfaces") == ""
        assert visit.fits()
        assert visit.complaints == []


WORDS = """async () => {
  const files = performance.getEntriesByType("resource").map((one) => one.name);
  const from = (name) => import(files.find((each) => each.endsWith(`/${name}.js`)));
  const [words, draws, cells] =
    await Promise.all(["trust_words", "null_draws", "surface_cells"].map(from));
  const half = { pbo: 0.5, loss_share: 0.001, median_in_sample_pct: null,
    median_out_of_sample_pct: 1, splits: 1, variants: 2, blocks: 8 };
  const x = { axis: "a b", block: "a", part: "params", parameter: "b",
    values: [1, 4], last: [3, 6], binned: 6 };
  const payload = (b) => ({ blocks: [{ name: "a", params: { b } }] });
  const surface = { metric: "profit_factor", x, variants: [3, 3], eligible: [3, 3],
    profitable_pct: [100, 0], best: [null, 0.5], median: [2, 0.5], infinite: { best: [0] } };
  return {
    none: words.searchWords({ p: 0.025, draws: 39, as_good: 0, metric: "sharpe", best: null }),
    half: words.overfittingWords(half)[0], unknown: words.moved(null),
    falling: draws.binned([1, 2, 2, 3.1], 2, true), rising: draws.binned([1, 2, 2, 3.1], 2, false),
    runs: [2, 3, 4, 7, null].map((value) => cells.cellOf({ x }, payload(value))),
    infinite: cells.cellWords(surface, 0, 0),
  };
}"""


def test_edges_are_told_as_they_are(page: Page) -> None:
    found = page.evaluate(WORDS)
    assert found["none"][0] == (
        "A search like this finds as much in data without an edge in none of 39 tries "
        "(p = 0.025). Luck alone seldom finds as much."
    )
    assert "which is no finite number" in found["none"][1]
    assert found["half"].startswith("Half of the search's winners")
    assert "in less than 1 % of the splits" in found["half"]
    assert found["unknown"] == "made more than can be told"
    assert found["runs"] == [0, 0, 1, None, None]
    assert found["infinite"] == (
        "a b 1 to 3: best \N{INFINITY}, median 2.00, 100 % of 3 make money; the winner is here"
    )
    for name, as_good in (("falling", 3), ("rising", 3)):
        edges, counts = found[name]["edges"], found[name]["counts"]
        good = [
            count
            for at, count in enumerate(counts)
            if (edges[at + 1] <= 2 if name == "falling" else edges[at] >= 2)
        ]
        assert (sum(good), sum(counts)) == (as_good, 4)
