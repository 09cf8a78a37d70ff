"""Signing in and out, and what pages are made of."""

import re
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser, expect

from api.pages import files, rendering
from tests.browser.stack import Stack

HTML = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
TEMPLATES = sorted(rendering.FOLDER.glob("*.html"))
MODULES = sorted(files.FOLDER.glob("*.js"))


def test_in_dev_the_local_user_is_signed_in_by_itself(stack: Stack, chromium: Browser) -> None:
    with stack.visit(chromium, signed_in=False) as visit:
        page = visit.open("/new?example")
        page.wait_for_url("**/new?example")
        expect(page.locator(".product")).to_be_visible()
        assert visit.complaints == []


def test_who_signs_out_is_asked_before_the_next_sign_in(stack: Stack, chromium: Browser) -> None:
    with stack.visit(chromium) as visit:
        page = visit.open("/strategies")
        page.get_by_role("button", name="Sign out").click()
        page.wait_for_url("**/signin?out")
        expect(page.get_by_label("Token")).to_be_visible()
        assert visit.context.cookies() == []


def test_a_pasted_token_leads_to_where_one_wanted_to_be(stack: Stack, chromium: Browser) -> None:
    with stack.visit(chromium, signed_in=False) as visit:
        page = visit.open("/signin?out&next=%2Fstrategies")
        page.get_by_label("Token").fill("rubbish")
        page.get_by_role("button", name="Sign in", exact=True).click()
        expect(page.get_by_role("alert")).to_be_visible()
        page.get_by_label("Token").fill(f"  {stack.api.token()}\n")
        page.get_by_role("button", name="Sign in", exact=True).click()
        page.wait_for_url("**/strategies")
        assert [cookie["httpOnly"] for cookie in visit.context.cookies()] == [True]


@pytest.mark.parametrize(
    "wanted", ["https://example.org/", "//example.org/", "javascript:alert(1)"]
)
def test_a_sign_in_never_leads_to_another_site(
    stack: Stack, chromium: Browser, wanted: str
) -> None:
    with stack.visit(chromium, signed_in=False) as visit:
        page = visit.open(f"/signin?next={wanted}")
        page.wait_for_url(f"{stack.url}/")


def test_people_get_errors_as_pages_and_programs_as_json(stack: Stack) -> None:
    page = httpx.get(f"{stack.url}/nowhere", headers=HTML)
    assert (page.status_code, page.headers["content-type"]) == (404, "text/html; charset=utf-8")
    assert "There is nothing here" in page.text
    told = httpx.get(f"{stack.url}/nowhere")
    assert (told.status_code, told.json()["error"]["code"]) == (404, "not_found")
    call = httpx.get(f"{stack.url}/backtests/jobs", headers=HTML)
    assert (call.status_code, call.json()["error"]["code"]) == (401, "unauthenticated")


def test_an_address_in_an_error_page_is_text(stack: Stack) -> None:
    page = httpx.get(f"{stack.url}/%3Cscript%3Ealert(1)%3C/script%3E", headers=HTML)
    assert "<script>alert" not in page.text
    assert "&lt;script&gt;alert" in page.text


def test_one_address_is_a_page_for_people_and_a_call_for_programs(stack: Stack) -> None:
    assert "items" in stack.api.get("/strategies").json()
    page = stack.api.get("/strategies", headers=HTML)
    assert "<h1>Strategies</h1>" in page.text
    assert page.headers["vary"] == "Accept"


def test_files_are_kept_for_ever_under_their_own_version_only(stack: Stack) -> None:
    own = httpx.get(stack.url + files.files().url("api.js"))
    assert own.headers["cache-control"] == "public, max-age=31536000, immutable"
    old = httpx.get(f"{stack.url}/static/0123456789abcdef/api.js")
    assert (old.content, old.headers["cache-control"]) == (own.content, "no-cache")
    assert (
        httpx.get(f"{stack.url}/static/{files.plotly_name()}").headers["cache-control"]
        == (own.headers["cache-control"])
    )
    for name in ("nothing.js", "../base.html", "%2e%2e/templates/base.html"):
        assert httpx.get(f"{stack.url}/static/{name}").status_code == 404


def test_the_reference_tells_every_call_and_every_field(stack: Stack) -> None:
    page = httpx.get(f"{stack.url}/docs", headers=HTML).text
    document = httpx.get(f"{stack.url}/openapi.json").json()
    assert len(document["paths"]) > 10
    for path in document["paths"]:
        assert f'<code class="path">{path}</code>' in page
    for field in ("template.indicator_grids[].params.*", "ranking.min_trades", "range axis.step"):
        assert f"<code>{field}</code>" in page


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda file: file.stem)
def test_no_template_has_script_or_style_of_its_own(template: Path) -> None:
    text = template.read_text(encoding="utf-8")
    assert not re.search(r"<style|\sstyle=|\son\w+=|javascript:", text)
    assert all("src=" in tag for tag in re.findall(r"<script[^>]*>", text))
    assert "https://" not in text
    assert "safe" not in re.findall(r"\|\s*(\w+)", text)


@pytest.mark.parametrize("module", MODULES, ids=lambda file: file.stem)
def test_no_module_reads_text_as_html_or_loads_from_elsewhere(module: Path) -> None:
    text = module.read_text(encoding="utf-8")
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(", text)
    assert not re.search(r"""['"](https?:)?//\w""", text.replace("http://www.w3.org/2000/svg", ""))
    for imported in re.findall(r'from "(\./[^"]+)"', text):
        assert imported.removeprefix("./") in files.files().contents, imported
