"""What people see and do: every page with live data, by mouse and by keyboard, in light and dark."""

import json
import re
import time
import unittest
import urllib.parse
import urllib.error
import urllib.request

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect, sync_playwright

from demo import Demo, Server, screenshots, token

pages = {
    "fleet": "#/fleet",
    "twin": "#/twins/frontend",
    "graph": "#/graph",
    "decisions": "#/decisions",
    "policies": "#/policies/demo-frontend",
    "events": "#/events",
    "drift": "#/drift",
    "pipeline": "#/pipeline",
}

# Names that would do harm if any of them ever became markup or code.
hostile = [
    "<img src=x onerror=window.broken=1>",
    "<script>window.broken=1</script>",
    '"><svg onload=window.broken=1>',
    "javascript:window.broken=1",
    "'-window.broken=1-'",
    "{{broken}}${broken}",
]


class DashboardTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        # A simulated minute in four seconds: the demo's operator answers a proposal after eight.
        cls.demo = Demo("--history", "2", "--speed", "0.25", "--duration", "1h")
        cls.addClassCleanup(cls.demo.stop)
        cls.playwright = sync_playwright().start()
        cls.addClassCleanup(cls.playwright.stop)
        cls.browser = cls.playwright.chromium.launch(
            executable_path="/usr/bin/chromium", args=["--no-sandbox", "--disable-gpu"]
        )
        cls.addClassCleanup(cls.browser.close)
        cls.send_hostile()
        cls.settle()

    @classmethod
    def settle(cls):
        """Waits until the fleet and the first decisions are there."""
        cls.wait(
            "the fleet",
            lambda: (
                len(cls.get("/v1/twins")["items"]) >= 20 + len(hostile)
                and cls.get("/v1/fleet")["ranked"]
                and cls.get("/v1/decisions")["items"]
            ),
        )

    @staticmethod
    def wait(what, condition, seconds=120):
        end = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > end:
                raise AssertionError(f"waited {seconds} s for {what}")
            time.sleep(0.5)

    @classmethod
    def get(cls, path):
        with urllib.request.urlopen(cls.demo.address + path) as answer:
            return json.load(answer)

    @classmethod
    def post(cls, path, body):
        request = urllib.request.Request(
            cls.demo.address + path, json.dumps(body).encode(), {"content-type": "application/json"}, method="POST"
        )
        with urllib.request.urlopen(request) as answer:
            return json.load(answer)

    @classmethod
    def send_hostile(cls):
        cls.wait("the time of the fleet", lambda: cls.get("/v1/fleet")["time"])
        now = cls.get("/v1/fleet")["time"]
        cls.post(
            "/v1/ingest/telemetry",
            [
                {
                    "resource": name,
                    "metric": "requests_per_second",
                    "value": 5,
                    "ts": now,
                    "locality": hostile[0],
                    "class": hostile[1],
                    "tags": {"owner": hostile[2]},
                }
                for name in hostile
            ],
        )
        cls.post(
            "/v1/ingest/interactions",
            [{"source": hostile[0], "target": name, "rate": 9, "ts": now} for name in hostile[1:]],
        )

    def setUp(self):
        self.context = self.browser.new_context(viewport={"width": 1440, "height": 900})
        self.addCleanup(self.context.close)
        self.page = self.watched(self.context)

    def watched(self, context):
        """A page whose errors fail the test."""
        page = context.new_page()
        page.set_default_timeout(15_000)
        errors = []
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on(
            "console",
            lambda message: (
                errors.append(f"{message.text} {message.location}") if message.type in ("error", "warning") else None
            ),
        )
        self.addCleanup(lambda: self.assertEqual(errors, [], "errors in the browser"))
        return page

    def open(self, name, page=None):
        page = page or self.page
        page.goto(f"{self.demo.address}/{pages.get(name, name)}")
        expect(page.locator("main h1")).to_be_visible()
        expect(page.locator("main .skeleton")).to_have_count(0)
        return page

    def test_every_page_shows_live_data_in_both_themes(self):
        screenshots.mkdir(parents=True, exist_ok=True)
        for theme in ("light", "dark"):
            context = self.browser.new_context(viewport={"width": 1440, "height": 900}, color_scheme=theme)
            page = self.watched(context)
            for name in pages:
                with self.subTest(page=name, theme=theme):
                    self.open(name, page)
                    expect(page.locator(".line")).to_contain_text("Live,")
                    expect(page.locator(".state.failed")).to_have_count(0)
                    page.wait_for_timeout(600)
                    page.screenshot(path=screenshots / f"{name}-{theme}.png")
            context.close()

    def test_the_fleet_is_live_and_ranked(self):
        page = self.open("fleet")
        expect(page.locator(".risk").first).to_be_visible()
        values = [float(text.split()[0]) for text in page.locator(".use-value").all_inner_texts()]
        self.assertEqual(values, sorted(values, reverse=True))
        before = page.locator(".lead").inner_text()
        page.wait_for_function("before => document.querySelector('.lead').innerText !== before", arg=before)
        page.get_by_label("Filter by name").fill("cart")
        expect(page.locator(".risk-name a")).to_have_text(["cart"])

    def test_a_twin_is_explained_where_one_points(self):
        page = self.open("twin")
        expect(page.locator(".level")).to_have_attribute("d", re.compile("M"))
        expect(page.locator(".fan.inner")).to_have_attribute("d", re.compile("M"))
        chart = page.locator(".chart").first
        box = chart.bounding_box()
        page.mouse.move(box["x"] + box["width"] - 60, box["y"] + 120)
        expect(page.locator(".tip")).to_contain_text("Forecast")
        page.get_by_label("Compare with an earlier forecast").select_option(index=1)
        expect(page.locator("path.then")).to_have_attribute("d", re.compile("M"))

    def test_all_pages_are_reached_by_keyboard_alone(self):
        page = self.open("fleet")
        page.keyboard.press("Tab")
        seen = {}
        for _ in range(40):
            label = page.evaluate(
                "document.activeElement.innerText || document.activeElement.getAttribute('aria-label')"
            )
            outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
            seen.setdefault((label or "").strip(), outline)
            page.keyboard.press("Tab")
        for title in (
            "Skip to content",
            "Find a twin",
            "Fleet",
            "Graph",
            "Decisions",
            "Policies",
            "Planned events",
            "Drift",
            "Pipeline",
            "Theme",
        ):
            self.assertIn(title, seen)
        page.get_by_role("link", name="Drift").focus()
        page.keyboard.press("Enter")
        expect(page.locator("h1")).to_have_text("Drift")
        self.assertTrue(page.evaluate("document.activeElement.tagName === 'H1'"), "focus goes to the new page")
        page.keyboard.press("/")
        page.keyboard.type("users-db")
        page.keyboard.press("Enter")
        expect(page.locator("h1")).to_have_text("users-db")
        page.locator(".chart").first.focus()
        page.keyboard.press("ArrowRight")
        expect(page.locator(".tip")).to_be_visible()

    def test_focus_outlives_live_updates(self):
        for name, target in (
            ("twin", ".neighbours a"),
            ("fleet", ".risk a"),
            ("graph", ".edges a"),
            ("pipeline", "summary"),
        ):
            page = self.open(name)
            with self.subTest(page=name):
                expect(page.locator(target).first).to_be_visible()
                page.locator(target).first.focus()
                before = page.evaluate("document.activeElement.innerText")
                page.wait_for_timeout(5_000)
                self.assertEqual(page.evaluate("document.activeElement.innerText"), before)

    def test_no_rule_of_accessibility_is_broken(self):
        for theme in ("light", "dark"):
            # The checker is a script of ours, which the page itself would not allow.
            context = self.browser.new_context(
                viewport={"width": 1440, "height": 900}, color_scheme=theme, bypass_csp=True, reduced_motion="reduce"
            )
            page = context.new_page()
            for name in pages:
                with self.subTest(page=name, theme=theme):
                    self.open(name, page)
                    found = Axe().run(page).response["violations"]
                    self.assertEqual(
                        [], [(one["id"], one["nodes"][0]["html"], one["nodes"][0]["failureSummary"]) for one in found]
                    )
            context.close()

    def test_landmarks_and_names(self):
        for name in pages:
            page = self.open(name)
            with self.subTest(page=name):
                self.assertEqual(page.locator("main").count(), 1)
                self.assertEqual(page.locator("h1").count(), 1)
                nameless = page.evaluate("""() => [...document.querySelectorAll('a, button, input, select, textarea')]
                    .filter((node) => node.offsetParent && !(node.innerText || '').trim() && !node.getAttribute('aria-label')
                        && !(node.labels && node.labels.length)).map((node) => node.outerHTML)""")
                self.assertEqual(nameless, [])
                self.assertEqual(page.locator("nav [aria-current=page]").count(), 0 if name == "twin" else 1)

    def test_a_policy_is_edited_tried_applied_and_seen_in_a_decision(self):
        page = self.open("policies")
        expect(page.locator(".verdict")).to_have_text("As in force")
        before = page.get_by_label("Target use").input_value()
        page.get_by_label("Target use").fill("7")
        expect(page.locator(".verdict.danger")).to_contain_text("targetUtilisation")
        expect(page.get_by_role("button", name="Apply")).to_be_disabled()
        page.get_by_label("Target use").fill("0.31")
        expect(page.locator(".verdict.ok")).to_have_text("Valid")
        expect(page.locator(".diff tbody tr")).to_contain_text(["targetUtilisation"])
        page.get_by_role("link", name="Drift").click()
        page.get_by_role("link", name="Policies").click()
        page.get_by_role("link", name="demo-frontend").click()
        expect(page.get_by_label("Target use")).to_have_value("0.31")
        expect(page.locator(".verdict.ok")).to_have_text("Valid")
        page.get_by_label("Over how much of the past").select_option("0.25")
        page.get_by_role("button", name="Try it").click()
        expect(page.locator(".arm.proposed")).to_have_attribute("d", re.compile("M"), timeout=90_000)
        expect(page.get_by_role("row", name=re.compile("Kubernetes"))).to_be_visible()
        page.get_by_role("button", name="Apply").click()
        expect(page.locator(".toast")).to_contain_text("version 2")
        self.wait(
            "a decision by the new version",
            lambda: any(
                one["data"]["policy"] == {"name": "demo-frontend", "version": 2}
                for one in self.get("/v1/decisions?resource=frontend&kind=decision&changes=true&limit=1")["items"]
            ),
        )
        page = self.open("#/decisions?resource=frontend")
        expect(page.locator(".facts").first).to_contain_text("demo-frontend, version 2")
        expect(page.locator(".facts").first).to_contain_text("used to 31 %")
        page = self.open("policies")
        page.get_by_role("button", name="Bring back").last.click()
        expect(page.get_by_label("Target use")).to_have_value(before)
        page.get_by_role("button", name="Apply").click()
        expect(page.locator(".toast").last).to_contain_text("version 3")

    def test_a_proposal_is_approved(self):
        # A floor of twice what there is makes the database's policy, whose mode is to ask, propose more.
        twin = self.get("/v1/twins/users-db")
        self.post(
            "/v1/commands",
            {
                "verb": "floor",
                "resource": "users-db",
                "value": int(twin["readyUnits"]) * 2,
                "until": "2099-01-01T00:00:00Z",
            },
        )
        page = self.open("decisions")
        row = page.locator(".waiting li", has_text="users-db")
        row.get_by_role("button", name="Approve").click(timeout=90_000)
        expect(page.locator(".toast")).to_contain_text("Approved")
        expect(row).to_have_count(0, timeout=30_000)
        self.wait("an action", lambda: self.get("/v1/actions?resource=users-db")["items"])
        commands = self.get("/v1/commands")["items"]
        ours = [one for one in commands if one["verb"] == "approve" and one["owner"] != "the operator on duty"]
        self.assertTrue(ours and ours[0]["status"] == "accepted", commands)

    def test_an_event_is_announced_and_called_off(self):
        page = self.open("events")
        page.get_by_role("button", name="Announce an event").click()
        dialog = page.locator("dialog")
        dialog.get_by_label("Name", exact=False).first.fill(hostile[0])
        dialog.get_by_label("Named").fill("frontend")
        dialog.get_by_role("button", name="Announce").click()
        row = page.get_by_role("row", name=re.compile("onerror"))
        expect(row).to_be_visible()
        row.get_by_role("button").click()
        page.locator("dialog").get_by_role("button", name="Call off").click()
        expect(page.get_by_role("row", name=re.compile("called off"))).to_be_visible()

    def test_hostile_names_stay_text(self):
        for name in ["fleet", "graph", "decisions", "pipeline", *(f"#/twins/{quoted(one)}" for one in hostile)]:
            page = self.open(name)
            page.wait_for_timeout(400)
            self.assertIsNone(page.evaluate("window.broken ?? null"), name)
            self.assertEqual(page.locator("main img, main script, main svg[onload]").count(), 0, name)
        expect(page.locator("h1")).to_have_text(hostile[-1])
        page = self.open("fleet")
        page.get_by_text("All, by name").click()
        expect(page.get_by_role("link", name=hostile[0], exact=True)).to_be_visible()

    def test_ten_thousand_twins_stay_fluid(self):
        lines = [big_twin(number) for number in range(10_000)]
        by_name = sorted(lines, key=lambda line: line["resource"])
        fleet = {
            "time": "2026-03-19T06:00:00Z",
            "horizonSeconds": 1800,
            "resources": len(lines),
            "atRisk": 400,
            "distrusted": 3,
            "stale": 2,
            "proposals": 0,
            "inFlight": 9,
            "pricePerHour": 1234.5,
            "savedPerHour": 98.7,
            "ranked": lines[:1000],
            "localities": [
                {
                    "type": "locality",
                    "value": f"cluster-{place}",
                    "resources": 500,
                    "atRisk": 20,
                    "utilisation": 1.4,
                    "heat": [50, 125, 75, 50, 200],
                }
                for place in range(20)
            ],
        }

        def twins(route):
            query = urllib.parse.parse_qs(urllib.parse.urlsplit(route.request.url).query)
            begin, limit = int(query.get("cursor", ["0"])[0]), int(query["limit"][0])
            end = begin + limit
            route.fulfill(
                json={"items": by_name[begin:end], "next": str(end) if end < len(lines) else None, "total": len(lines)}
            )

        page = self.page
        page.route("**/v1/fleet?*", lambda route: route.fulfill(json=fleet))
        page.route("**/v1/twins?*", twins)
        begin = time.monotonic()
        self.open("fleet")
        expect(page.locator(".risk").first).to_be_visible()
        shown = time.monotonic() - begin
        page.evaluate("""() => {
            window.longest = 0;
            new PerformanceObserver((list) => {
                for (const entry of list.getEntries()) window.longest = Math.max(window.longest, entry.duration);
            }).observe({ type: "longtask" });
        }""")
        page.get_by_text("All, by name").click()
        expect(page.get_by_role("link", name="service-00000")).to_be_visible()
        place = page.locator(".virtual")
        for _ in range(120):
            place.evaluate("node => { node.scrollTop = node.scrollHeight; }")
            page.wait_for_timeout(30)
            if page.get_by_role("link", name="service-09999").count():
                break
        expect(page.get_by_role("link", name="service-09999")).to_be_visible()
        self.assertLess(page.locator(".virtual-row").count(), 100, "only rows in sight exist")
        page.screenshot(path=screenshots / "fleet-10000-light.png")
        longest = page.evaluate("window.longest")
        print(f"10 000 twins: shown after {shown:.2f} s, longest task {longest:.0f} ms", flush=True)
        self.assertLess(longest, 1000)

    def test_a_lost_connection_is_told_and_mended(self):
        server = Server(self.demo)
        page = self.context.new_page()
        page.goto(f"{server.address}/#/fleet")
        expect(page.locator(".line")).to_contain_text("Live,")
        server.stop()
        expect(page.locator(".banner")).to_contain_text("connection is lost")
        page.screenshot(path=screenshots / "stale-light.png")
        again = Server(self.demo, port=int(server.address.rsplit(":", 1)[1]))
        self.addCleanup(again.stop)
        page.get_by_role("button", name="Try now").click()
        expect(page.locator(".line")).to_contain_text("Live,")
        expect(page.locator(".banner p")).to_have_count(0)

    @staticmethod
    def knows(address, secret, resource):
        request = urllib.request.Request(f"{address}/v1/twins/{resource}", headers={"authorization": f"Bearer {secret}"})
        try:
            with urllib.request.urlopen(request) as answer:
                return answer.status == 200
        except urllib.error.HTTPError:
            return False

    def test_one_signs_in_and_may_do_what_the_role_allows(self):
        (viewer, first), (admin, second) = token("vera", "viewer"), token("adam", "admin")
        server = Server(self.demo, tokens=[first, second])
        self.addCleanup(server.stop)
        self.wait("the views of a second server", lambda: self.knows(server.address, viewer, "frontend"))
        page = self.context.new_page()
        page.goto(server.address)
        page.get_by_label("Token").fill("wrong")
        page.get_by_role("button", name="Sign in").click()
        expect(page.locator(".problem")).to_contain_text("does not know")
        page.screenshot(path=screenshots / "signin-light.png")
        for name, secret, buttons in (("vera", viewer, 0), ("adam", admin, 3)):
            page.get_by_label("Token").fill(secret)
            page.get_by_role("button", name="Sign in").click()
            expect(page.locator(".who")).to_contain_text(name)
            expect(page.locator(".line")).to_contain_text("Live")
            page.goto(f"{server.address}/#/twins/frontend")
            expect(page.locator("h1")).to_have_text("frontend", timeout=30_000)
            expect(page.locator(".head .button")).to_have_count(buttons)
            page.get_by_role("button", name="Sign out").click()
            expect(page.locator("h1")).to_have_text("Sign in")
            expect(page.get_by_role("navigation")).to_be_hidden()

    def test_the_theme_is_switched_and_kept(self):
        page = self.open("fleet")
        color = "getComputedStyle(document.body).backgroundColor"
        before = page.evaluate(color)
        page.get_by_role("button", name="Theme").click()
        self.assertNotEqual(page.evaluate(color), before)
        page.reload()
        expect(page.locator("h1")).to_be_visible()
        self.assertNotEqual(page.evaluate(color), before)


def big_twin(number):
    """A twin of a fleet of ten thousand, the riskiest first."""
    return {
        "resource": f"service-{number:05}",
        "locality": f"cluster-{number % 20}",
        "class": "service",
        "tags": {"zone": "a"},
        "time": "2026-03-19T06:00:00Z",
        "readyUnits": 4,
        "desiredUnits": 5,
        "policy": "shop",
        "mode": "act",
        "metric": "requests_per_second",
        "level": 10.5,
        "quality": "fresh",
        "distrusted": False,
        "pricePerHour": 0.4,
        "risk": {"utilisation": 1.4 - number / 10_000, "target": 0.7, "atSeconds": 900, "shortfall": 1},
    }


def quoted(name):
    return urllib.request.quote(name, safe="")


if __name__ == "__main__":
    unittest.main()
