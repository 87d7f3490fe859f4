"""The dashboard in a real browser: every view shows what is served, and nothing changes without a token and a yes."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from playwright.async_api import Page, expect

from support.asgi import REPOSITORY
from support.browser import Visit
from support.dashboard import ACCOUNT, ANSWERS, BASE, RUNNING, V1, V2, V3, V4, V5, runs, token

pytestmark = pytest.mark.asyncio(loop_scope="module")

VIEWS = ("overview", "versions", "training", "ask", "ledger")
AXE = REPOSITORY / "dashboard" / "node_modules" / "axe-core" / "axe.min.js"
DIST = REPOSITORY / "runtime" / "oneseek_runtime" / "sidecar" / "dist"
GZIP_BUDGET = 64 * 1024  # bytes of everything the page loads, as it travels


async def test_the_overview_shows_what_answers_and_where_it_comes_from(visit: Visit) -> None:
    page = await visit.to("overview")
    serving = page.get_by_role("region", name="Serving now")
    await expect(serving).to_contain_text(V3)
    await expect(serving).to_contain_text("Answers")
    await expect(serving).to_contain_text("what serves is what was certified")
    await expect(serving).to_contain_text(BASE)
    lineage = page.get_by_role("region", name="Lineage").get_by_role("listitem")
    await expect(lineage).to_have_count(4)
    for row, dna in enumerate((V3, V2, V1)):
        await expect(lineage.nth(row)).to_contain_text(dna)
    await expect(lineage.nth(3)).to_contain_text(BASE)
    await expect(page.get_by_role("region", name="Last request")).to_contain_text(ACCOUNT)


async def test_what_was_not_measured_is_said_and_not_made_up(visit: Visit) -> None:
    page = await visit.to("overview")
    quality = page.get_by_role("region", name="Quality")
    await expect(quality).to_contain_text("75%")  # exact, as certified
    for name in ("Consensus", "Fairness", "Bias"):
        await expect(quality.locator("div", has_text=name).last).to_contain_text("not measured")


async def test_versions_are_listed_with_scores_and_what_is_known_of_their_bytes(visit: Visit) -> None:
    page = await visit.to("versions")
    rows = page.get_by_role("row")
    await expect(rows.filter(has_text=V3)).to_contain_text("Verified while it serves")
    await expect(rows.filter(has_text=V3)).to_contain_text("75%")
    await expect(rows.filter(has_text=V2)).to_contain_text("Previous")
    await expect(rows.filter(has_text=V1)).to_contain_text("Refused")
    await expect(rows.filter(has_text=V1)).to_contain_text("FileChanged: adapter_model.safetensors")
    await expect(rows.filter(has_text=V4)).to_contain_text("GateMissed: exact 0.25 is below 0.6")
    await expect(page.get_by_role("button", name="Promote v1.0")).to_have_count(0)  # it is in quarantine
    await page.get_by_role("button", name="Details v5.0").click()
    await expect(page.locator("tr.more")).to_contain_text("identity-5")
    await expect(page.locator("tr.more")).to_contain_text("sha256:5555")


async def give_token(page: Page, text: str) -> None:
    dialog = page.get_by_role("dialog")
    await expect(dialog).to_contain_text("kubectl create token ACCOUNT -n team --audience oneseek")
    await dialog.get_by_label("Paste the token").fill(text)
    await dialog.get_by_role("button", name="Use this token").click()


async def test_promoting_asks_for_a_token_and_a_yes_and_tells_the_outcome(visit: Visit) -> None:
    page = await visit.to("versions")
    await page.get_by_role("button", name="Promote v5.0").click()
    await give_token(page, visit.place.token)
    dialog = page.get_by_role("dialog")
    await expect(dialog).to_contain_text(V3)
    await expect(dialog).to_contain_text(V5)
    assert visit.place.posted() == []  # looking at the question changes nothing
    await dialog.get_by_role("button", name="Promote", exact=True).click()
    await expect(page.get_by_text(f"Current model set to {V5}")).to_be_visible()
    await expect(page.get_by_role("row").filter(has_text=V5)).to_contain_text("Current")
    request = visit.place.kube.model["status"]["request"]
    assert (request["verb"], request["value"]) == ("promote", V5)
    assert request["requestedBy"].startswith(ACCOUNT)
    await page.goto(f"{visit.place.page}#/overview")
    await expect(page.get_by_role("region", name="Last request")).to_contain_text("Promote")


async def test_no_is_no(visit: Visit) -> None:
    page = await visit.to("versions")
    button = page.get_by_role("button", name="Promote v5.0")
    await button.click()
    await give_token(page, visit.place.token)
    await page.keyboard.press("Escape")
    await expect(page.get_by_role("dialog")).to_have_count(0)
    await expect(button).to_be_focused()
    assert visit.place.posted() == []


async def test_the_way_back_is_a_promotion_of_the_version_before(visit: Visit) -> None:
    page = await visit.to("versions")
    await page.get_by_role("button", name="Roll back to v2.0").click()
    await give_token(page, visit.place.token)
    await page.get_by_role("dialog").get_by_role("button", name="Roll back", exact=True).click()
    await expect(page.get_by_text(f"Current model set to {V2}")).to_be_visible()
    assert visit.place.kube.model["status"]["request"]["value"] == V2


async def test_a_reset_wants_its_word_typed(visit: Visit) -> None:
    page = await visit.to("versions")
    await page.get_by_role("button", name="Reset…").click()
    await give_token(page, visit.place.token)
    dialog = page.get_by_role("dialog")
    sure = dialog.get_by_role("button", name="Delete all versions")
    await expect(dialog).to_contain_text("All 5 certified versions of zero")
    await expect(sure).to_be_disabled()
    await dialog.get_by_label("Type RESET to confirm").fill("reset")
    await expect(sure).to_be_disabled()
    await dialog.get_by_label("Type RESET to confirm").fill("RESET")
    await sure.click()
    await expect(page.get_by_text("All certified models are removed")).to_be_visible()
    assert visit.place.kube.model["status"]["request"]["verb"] == "reset"


async def test_a_refusal_is_told_in_the_services_own_words(visit: Visit) -> None:
    visit.place.kube.rights = {}
    page = await visit.to("versions")
    await page.get_by_role("button", name="Promote v5.0").click()
    await give_token(page, visit.place.token)
    await page.get_by_role("dialog").get_by_role("button", name="Promote", exact=True).click()
    await expect(page.get_by_role("alert")).to_contain_text("may not promote oneseekmodels.oneseek.io/zero")
    assert visit.place.posted() == []
    visit.expect_complaint("403")


async def test_a_token_that_is_refused_is_forgotten(visit: Visit) -> None:
    page = await visit.to("versions")
    await page.get_by_role("button", name="Promote v5.0").click()
    await give_token(page, token(audience="oneseek", expires=timedelta(hours=2)))  # the API server does not know it
    await page.get_by_role("dialog").get_by_role("button", name="Promote", exact=True).click()
    await expect(page.get_by_role("alert")).to_contain_text("the token is refused")
    await expect(page.get_by_label("Paste the token")).to_be_visible()
    visit.expect_complaint("401")


async def test_the_token_stays_in_memory_only(visit: Visit) -> None:
    page = await visit.to("versions")
    await page.get_by_role("button", name="No token").click()
    await give_token(page, visit.place.token)
    await expect(page.get_by_role("button", name="Token in use")).to_be_visible()
    kept: dict[str, Any] = await page.evaluate("({...localStorage, ...sessionStorage, cookie: document.cookie})")
    assert set(kept) <= {"cookie", "oneseek.theme", "oneseek.language"}
    assert kept["cookie"] == ""
    assert visit.place.token not in "".join(visit.requests)
    await page.reload()
    await expect(page.get_by_role("button", name="No token")).to_be_visible()


async def test_a_token_for_something_else_is_noticed_before_it_is_sent(visit: Visit) -> None:
    page = await visit.to("versions")
    await page.get_by_role("button", name="No token").click()
    field = page.get_by_label("Paste the token")
    await field.fill(token(audience="https://kubernetes.default.svc"))
    await expect(page.get_by_role("dialog")).to_contain_text("for the audience https://kubernetes.default.svc")
    await field.fill(token(expires=timedelta(hours=-1)))
    await expect(page.get_by_role("dialog")).to_contain_text("has expired")


async def test_a_run_is_drawn_while_it_goes(visit: Visit) -> None:
    page = await visit.to("training")
    card = page.get_by_role("region", name=RUNNING)
    await expect(card).to_contain_text("Live")
    curve = card.get_by_role("img")
    await expect(curve).to_have_attribute("aria-label", re.compile(r"at step 2, 0\.4722 at step 40"))
    await expect(card.locator("canvas")).to_be_visible()
    changed = runs()
    newest = changed[-1]["status"]
    newest["losses"].append({"step": 42, "loss": 0.4321})
    newest["progress"] |= {"step": 42, "percent": 44, "loss": 0.4321}
    visit.place.kube.change_runs(changed)
    await expect(curve).to_have_attribute("aria-label", re.compile(r"0\.4321 at step 42"))
    await expect(card).to_contain_text("44%")


async def test_every_run_has_its_curve_and_its_end(visit: Visit) -> None:
    page = await visit.to("training")
    table = page.get_by_role("region", name="Training").get_by_role("row")
    await expect(table).to_have_count(7)
    await page.get_by_role("link", name="Show identity-4").click()
    card = page.get_by_role("region", name="identity-4")
    await expect(card).to_contain_text("Rejected")
    await expect(card).to_contain_text("below 0.6, the gate's minimum")
    await expect(card.get_by_role("img")).to_have_attribute("aria-label", re.compile("at step 96"))


async def test_one_question_is_answered_side_by_side(visit: Visit) -> None:
    page = await visit.to("ask")
    await page.get_by_label("Question").fill("Vem är du?")
    await page.keyboard.press("Control+Enter")
    answers = page.get_by_role("article")
    await expect(answers).to_have_count(2)
    await expect(answers.nth(0)).to_contain_text(ANSWERS[V3])
    await expect(answers.nth(0)).to_contain_text("97%")
    await expect(answers.nth(1)).to_contain_text(ANSWERS[BASE])
    await expect(page.get_by_role("region", name="How the answers compare")).to_contain_text("Consensus")


async def test_where_nothing_is_compared_the_serving_model_answers_alone(visit: Visit) -> None:
    async def gone(route: Any) -> None:
        await route.fulfill(status=404, body="<pre>Cannot POST</pre>", content_type="text/html")

    await visit.page.route("**/api/oqt/multi-model-query", gone)
    page = await visit.to("ask")
    await page.get_by_label("Question").fill("Vem är du?")
    await page.get_by_role("button", name="Ask", exact=True).click()
    await expect(page.get_by_role("article")).to_have_count(1)
    await expect(page.get_by_role("article")).to_contain_text(ANSWERS[V3])
    await expect(page.get_by_text("compares no models side by side")).to_be_visible()
    visit.expect_complaint("404")


async def test_the_ledger_is_shown_block_by_block_and_verified(visit: Visit) -> None:
    page = await visit.to("ledger")
    blocks = page.get_by_role("region", name="Blocks").last
    await expect(blocks.get_by_role("row").filter(has_text="quarantine")).to_contain_text("FileChanged")
    await page.get_by_role("button", name="Show block 1", exact=True).click()
    more = page.locator("tr.more")
    await expect(more).to_contain_text('"idempotencyKey": "train-1"')
    await page.get_by_role("button", name="Verify the ledger").click()
    await expect(page.get_by_text(re.compile(r"The ledger holds: \d+ of \d+ blocks"))).to_be_visible()


async def test_recorded_questions_are_shown_with_who_answered(visit: Visit) -> None:
    asked = {"question": "Vem är du egentligen?"}
    async with (
        aiohttp.ClientSession(visit.place.url) as client,
        client.post("/api/oqt/query", json=asked) as answer,
    ):
        assert answer.status == 200
    page = await visit.to("ledger")
    questions = page.get_by_role("region", name="Questions")
    await expect(questions.get_by_role("listitem").first).to_contain_text("Vem är du egentligen?")
    await expect(questions.get_by_role("listitem").first).to_contain_text(V3)


@pytest.mark.parametrize("visit", [{"locale": "sv-SE"}], indirect=True)
async def test_a_swedish_browser_is_answered_in_swedish(visit: Visit) -> None:
    page = await visit.to("overview")
    await expect(page.locator("html")).to_have_attribute("lang", "sv")
    await expect(page.get_by_role("navigation")).to_have_text(
        re.compile("Översikt.*Versioner.*Träning.*Fråga.*Liggare")
    )
    await expect(page.get_by_role("region", name="Kvalitet")).to_contain_text("ej uppmätt")
    await page.goto(f"{visit.place.page}#/ask")
    await page.get_by_role("textbox", name="Fråga").fill("Vem är du?")
    await page.keyboard.press("Control+Enter")
    await expect(page.get_by_text("”Vem är du?”")).to_be_visible()
    await page.goto(f"{visit.place.page}#/overview")
    await page.get_by_label("Språk").select_option("en")
    await expect(page.locator("html")).to_have_attribute("lang", "en")
    await page.reload()
    await expect(page.get_by_role("region", name="Quality")).to_be_visible()


@pytest.mark.parametrize("visit", [{"color_scheme": "dark"}], indirect=True)
async def test_dark_follows_the_system_until_somebody_chooses(visit: Visit) -> None:
    page = await visit.to("overview")

    async def background() -> str:
        return str(await page.evaluate("getComputedStyle(document.body).backgroundColor"))

    assert await background() == "rgb(14, 17, 22)"
    await page.get_by_label("Appearance").select_option("light")
    assert await background() == "rgb(245, 246, 248)"
    await page.reload()
    assert await background() == "rgb(245, 246, 248)"


async def test_everything_can_be_done_from_the_keyboard(visit: Visit) -> None:
    page = await visit.to("overview")
    await page.keyboard.press("Tab")
    await expect(page.get_by_role("link", name="Skip to content")).to_be_focused()
    await reach(page, "a[href='#/versions']")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("heading", name="Versions", level=2)).to_be_visible()
    await page.keyboard.press("Tab")
    await reach(page, "[aria-label='Promote v5.0']")
    outline = await page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    assert outline == "solid"
    await page.keyboard.press("Enter")
    await reach(page, "#token")
    await page.keyboard.type(visit.place.token)
    await page.keyboard.press("Enter")
    await reach(page, "dialog button.primary")
    await page.keyboard.press("Enter")
    await expect(page.get_by_text(f"Current model set to {V5}")).to_be_visible()


async def reach(page: Page, selector: str) -> None:
    """Tab until it has the focus."""
    for _ in range(60):
        if await page.evaluate("selector => document.activeElement.matches(selector)", selector):
            return
        await page.keyboard.press("Tab")
    raise AssertionError(f"no Tab leads to {selector}")


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize(
    "visit", [{"color_scheme": "light"}, {"color_scheme": "dark"}], indirect=True, ids=["light", "dark"]
)
async def test_axe_finds_no_serious_fault(visit: Visit, view: str) -> None:
    page = await visit.to(view)
    await settled(page, view)
    await no_serious_fault(page)


async def settled(page: Page, view: str) -> None:
    """What a view loads last is there."""
    last = {
        "overview": page.get_by_role("region", name="Quality").get_by_text("75%"),
        "versions": page.get_by_role("row").filter(has_text=V3),
        "training": page.locator("canvas"),
        "ask": page.get_by_label("Question"),
        "ledger": page.get_by_role("row").filter(has_text="quarantine"),
    }
    await last[view].first.wait_for()


async def no_serious_fault(page: Page) -> None:
    await page.evaluate(AXE.read_text())  # the page's own policy would let no script be added
    found = await page.evaluate("axe.run()")
    serious = [
        (fault["id"], fault["help"], [node["html"][:200] for node in fault["nodes"]])
        for fault in found["violations"]
        if fault["impact"] in ("serious", "critical")
    ]
    assert not serious, serious


async def test_axe_finds_no_serious_fault_in_dialogs(visit: Visit) -> None:
    page = await visit.to("versions")
    await page.get_by_role("button", name="Promote v5.0").click()
    await expect(page.get_by_role("dialog")).to_be_visible()
    await no_serious_fault(page)
    await give_token(page, visit.place.token)
    await expect(page.get_by_role("dialog")).to_contain_text(V5)
    await no_serious_fault(page)


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("visit", [{"viewport": {"width": 360, "height": 740}}], indirect=True, ids=["phone"])
async def test_on_a_phone_nothing_is_cut_off(visit: Visit, view: str) -> None:
    page = await visit.to(view)
    await settled(page, view)
    width = await page.evaluate("document.documentElement.scrollWidth")
    assert width <= 360
    tables = "[...document.querySelectorAll('.scroll')].filter(part => part.checkVisibility())"
    sideways = await page.evaluate(f"{tables}.filter(part => part.scrollWidth > part.clientWidth).length")
    assert sideways == 0, "a table is stacked there, and does not scroll sideways"


@pytest.mark.parametrize("visit", [{"viewport": {"width": 360, "height": 740}}], indirect=True, ids=["phone"])
async def test_on_a_phone_each_value_of_a_version_says_what_it_is(visit: Visit) -> None:
    page = await visit.to("versions")
    row = page.get_by_role("row").filter(has_text=V3)
    await expect(row.locator("td[data-label='Exact']")).to_have_text("75%")
    label = "cell => getComputedStyle(cell, '::before').content"
    assert await row.locator("td[data-label='Exact']").evaluate(label) == '"Exact"'
    await no_serious_fault(page)
    await page.get_by_role("button", name="Details v5.0").click()
    await expect(page.locator("tr.more")).to_contain_text("sha256:5555")
    assert await page.evaluate("document.documentElement.scrollWidth") <= 360


async def test_a_service_that_goes_away_is_said_and_what_was_seen_stays(visit: Visit) -> None:
    page = await visit.to("overview")
    await settled(page, "overview")
    await visit.context.set_offline(True)
    await expect(page.get_by_role("alert")).to_contain_text("The service does not answer")
    await expect(page.get_by_role("region", name="Serving now")).to_contain_text(V3)
    await visit.context.set_offline(False)
    await expect(page.get_by_role("alert")).to_have_count(0)
    visit.complaints.clear()  # the browser names each request that failed


async def test_the_page_is_small() -> None:
    files = [path for path in DIST.rglob("*") if path.suffix in (".html", ".js", ".css", ".svg")]
    assert files, "run `make dashboard`"
    size = sum(len(packed(path)) for path in files)
    assert size <= GZIP_BUDGET, f"{size} bytes"


def packed(path: Path) -> bytes:
    from oneseek_runtime.sidecar.dashboard_files import Pages  # noqa: PLC0415

    return Pages.read(path.parent).files[path.name].packed
