"""The page of `loralift serve` in a real browser: it asks for the key, fills in test examples, and shows the answers side by side."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from tests import browser, foreign, project, tiny
from tests.server import Server, read, wait_for

pytest.importorskip("openai")
pytestmark = browser.needed

KEY = "sk-of-the-page"
BASE, TRAINED = "tiny", "tiny--pets--r4-s0"
HOSTILE = "<img src=x onerror=\"document.title='owned'\">"
TEMPLATE = (
    "{{ bos_token }}{% for m in messages %}{{ m.role }}: {{ m.content }}{{ eos_token }}{% endfor %}"
    "{% if add_generation_prompt %}assistant: {% endif %}"
)
DESK, PHONE = {"width": 1280, "height": 900}, {"width": 390, "height": 844}
LOOKS = [("light", DESK), ("dark", DESK), ("light", PHONE), ("dark", PHONE)]


def conversation(index: int) -> dict[str, Any]:
    """A row: system text, an earlier question with its answer, the last question and its target."""
    texts = ["Be short.", f"the red {index}?", HOSTILE, f"the cat {index} ?", "yes" if index % 2 else "no maybe"]
    roles = ["system", "user", "assistant", "user", "assistant"]
    return {"messages": [{"role": role, "content": text} for role, text in zip(roles, texts, strict=True)]}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    root = tmp_path_factory.mktemp("page")
    base = root / BASE
    tiny.make_model(base)
    (base / "chat_template.jinja").write_text(TEMPLATE, "utf-8")
    recipe = project.make(root / "project", str(base))
    for name, count in (("train", 60), ("test", 24)):
        rows = [json.dumps(conversation(index + 100 * (name == "test"))) for index in range(count)]
        (root / "project" / f"{name}.jsonl").write_text("\n".join(rows), "utf-8")
    body = json.loads(recipe.read_text("utf-8"))
    body["tasks"] = [{"name": "pets", "data": body["tasks"][0]["data"], "metrics": ["accuracy"], "max_new_tokens": 24, "stop": ["\n", "."]}]
    body["prepare"]["max_tokens"] = 200
    recipe.write_text(json.dumps(body), "utf-8")
    project.carry_out(recipe, root, {"finetune.max_steps": 1}, {"finetune"})
    other = foreign.adapter(root / "other", base)
    running = Server(
        root / "log", recipe, "finetune.max_steps=1", f"other={other}", f"--store={root}", "--max-adapters=1", LORALIFT_API_KEY=KEY
    )
    yield running
    running.process.kill()
    running.process.wait()


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    with browser.running() as chromium:
        yield chromium


class Tab:
    """The page, with the errors on it and the addresses that it requested."""

    def __init__(self, chromium: Any, server: Server, key: str = KEY, **context: Any) -> None:
        self.context = chromium.new_context(**context)
        self.page = self.context.new_page()
        self.faults: list[str] = []
        self.requests: list[str] = []
        self.page.on("console", lambda message: self.faults.append(message.text) if message.type in ("error", "warning") else None)
        self.page.on("pageerror", lambda fault: self.faults.append(str(fault)))
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.goto(server.url)
        self.page.wait_for_selector("#unlock:not([hidden])")
        if key:
            self.page.get_by_label("API key of this server").fill(key)
            self.page.keyboard.press("Enter")
            self.page.wait_for_selector("html[data-ready]")
            self.faults.clear()  # the browser itself reports the 401

    def answer(self) -> list[str]:
        """Send, wait, and return the texts of the answers."""
        self.page.click("#send")
        self.page.wait_for_selector("#send:not([disabled])")
        return self.texts()

    def texts(self) -> list[str]:
        return [str(box.text_content()) for box in self.page.locator("#sides .text").all()]

    def models(self, *names: str) -> None:
        for label in self.page.locator("#models .pill").all():
            if (label.text_content() in names) != label.locator("input").is_checked():
                label.click()


@pytest.fixture
def tab(chromium: Any, server: Server) -> Iterator[Tab]:
    tab = Tab(chromium, server, viewport=DESK)
    yield tab
    tab.context.close()
    assert tab.faults == []
    assert all(url.startswith(server.url) for url in tab.requests)


def over_http(server: Server, model: str, messages: list[dict[str, str]], **options: Any) -> Any:
    return server.client(KEY).chat.completions.create(model=model, messages=messages, **options)


def test_the_page_needs_no_key_and_the_rest_does(server: Server) -> None:
    html = read(server.url)
    assert TRAINED not in html
    assert "http" not in re.sub(r"http-equiv", "", html)  # no address of anything elsewhere
    for path in ("page/setup", "page/examples/pets/0"):
        with pytest.raises(OSError, match="401"):
            read(f"{server.url}/{path}")
        assert read(f"{server.url}/{path}", KEY)


@pytest.mark.parametrize("path", ["pets/20", "pets/-1", "pets/x", "dogs/0", "pets"])
def test_examples_that_are_not_there(server: Server, path: str) -> None:
    with pytest.raises(OSError, match=r"40[04]"):
        read(f"{server.url}/page/examples/{path}", KEY)


def test_the_policy_lets_nothing_else_run_or_load(server: Server, tab: Tab) -> None:
    policy = tab.page.request.get(server.url).headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    tab.page.evaluate(
        """() => { const s = document.createElement("script"); s.textContent = "document.title = 'owned'"; document.body.append(s); }"""
    )
    assert tab.page.title() == "loralift serve"
    assert "Content Security Policy" in tab.faults.pop()


def test_a_wrong_key_is_refused_and_the_right_one_is_stored_nowhere(chromium: Any, server: Server) -> None:
    tab = Tab(chromium, server, key="", viewport=DESK)
    assert tab.page.evaluate("document.activeElement.name") == "key"
    tab.page.keyboard.type("wrong")
    tab.page.keyboard.press("Enter")
    shows(tab, "#status", r"^the key is missing or wrong; send Authorization: Bearer KEY$")
    tab.page.get_by_label("API key of this server").fill(KEY)
    tab.page.get_by_role("button", name="Use this key").click()
    tab.page.wait_for_selector("html[data-ready]")
    assert tab.page.evaluate("JSON.stringify([localStorage, sessionStorage, document.cookie, location.href])").find(KEY) < 0
    assert KEY not in tab.page.content()
    assert tab.page.evaluate("document.querySelector('[name=key]').value") == ""
    assert not any(KEY in url for url in tab.requests)
    tab.page.reload()
    tab.page.wait_for_selector("#unlock:not([hidden])")
    tab.context.close()


def shows(tab: Tab, selector: str, pattern: str) -> None:
    """Wait until an element has text of this form; the page's policy forbids wait_for_function."""
    from playwright.sync_api import expect

    expect(tab.page.locator(selector).first).to_have_text(re.compile(pattern))


def test_an_example_is_a_click_away_and_is_answered_as_in_the_report(server: Server, tab: Tab) -> None:
    example = json.loads(read(f"{server.url}/page/examples/pets/0", KEY))
    tab.page.get_by_role("button", name="Next example").click()
    tab.page.wait_for_selector("#earlier:not([hidden])")
    assert tab.page.get_by_label("Prompt").input_value() == example["messages"][-1]["content"]
    assert tab.page.get_by_label("System text").input_value() == "Be short."
    assert [text.strip() for text in tab.page.locator("#earlier .text").all_text_contents()] == [
        turn["content"] for turn in example["messages"][1:-1]
    ]
    assert HOSTILE in tab.page.inner_text("#earlier")
    assert tab.page.inner_text("#picked") == f"{example['id']}: example 1 of 20."
    assert (example["max_tokens"], example["stop"]) == (24, ["\n", "."])
    tab.answer()
    tab.page.get_by_label("Mark words that differ from").select_option(label="nothing")
    texts = tab.texts()
    options = {"max_tokens": 24, "stop": example["stop"]}
    assert texts == [over_http(server, model, example["messages"], **options).choices[0].message.content for model in (BASE, TRAINED)]
    assert tab.page.inner_text("#target .text") == example["target"]
    tab.page.get_by_label("Prompt").fill("another?")
    tab.answer()
    assert not tab.page.is_visible("#target")
    assert tab.page.locator("#ask [name=stop_text]").input_value() == "\\n"
    assert tab.page.title() == "loralift serve"
    tab.page.get_by_role("button", name="Remove earlier turns").click()
    turns = [{"role": "system", "content": "Be short."}, {"role": "user", "content": "another?"}]
    assert tab.answer() == [over_http(server, model, turns, **options).choices[0].message.content for model in (BASE, TRAINED)]


def test_examples_are_chosen_by_number_and_at_random(tab: Tab) -> None:
    place = tab.page.get_by_label("Example", exact=True)
    for number, expected in (("7", "7"), ("900", "20"), ("-3", "1")):
        place.fill(number)
        place.press("Enter")
        shows(tab, "#picked", rf"example {expected} of 20\.$")
        assert place.input_value() == expected
    tab.page.evaluate("Math.random = () => 0.999")
    tab.page.get_by_role("button", name="Random example").click()
    shows(tab, "#picked", r"example 20 of 20\.$")


def test_answers_have_their_counts_and_the_words_that_differ(server: Server, tab: Tab) -> None:
    tab.models(BASE, TRAINED, "other")
    tab.page.get_by_label("Prompt").fill("the red cat ?")
    tab.page.locator("summary", has_text="Options").click()
    tab.page.get_by_label("Tokens at most").fill("9")
    texts = tab.answer()
    assert len(set(texts)) > 1
    turns = [{"role": "user", "content": "the red cat ?"}]
    expected = [over_http(server, model, turns, max_tokens=9) for model in (BASE, TRAINED, "other")]
    figures = tab.page.locator("#sides .figures").all_text_contents()
    for response, line in zip(expected, figures, strict=True):
        usage = response.usage
        assert line.startswith(f"{usage.prompt_tokens} prompt tokens · {usage.completion_tokens} new")
        assert ("(truncated)" in line) == (response.choices[0].finish_reason == "length")
        assert re.search(r"first after \d+\.\d\d s · \d+\.\d\d s in all", line)
    shows(tab, "#status", r"^3 of 3 answers finished\.$")
    other = tab.page.locator("#sides .side").nth(2)
    gone = "".join(other.locator("del").all_text_contents())
    assert other.locator("ins").count() > 0
    assert str(other.locator(".text").text_content()).replace(gone, "") == expected[2].choices[0].message.content.strip()
    assert tab.page.locator("#sides .side").nth(0).locator("ins, del").count() == 0
    tab.page.get_by_label("Mark words that differ from").select_option(label="nothing")
    assert tab.texts() == [response.choices[0].message.content for response in expected]


def test_a_refusal_stands_in_the_place_of_the_answer(tab: Tab) -> None:
    tab.models(BASE, "other")
    tab.page.get_by_label("Prompt").fill("cat " * 400)
    tab.answer()
    assert "exceed the context window of 256 tokens" in tab.page.locator("#sides .fault").nth(1).inner_text()
    shows(tab, "#status", r"^0 of 2 answers finished, 2 did not\.$")
    tab.models()
    tab.page.click("#send")
    shows(tab, "#status", r"^Choose a model\.$")
    tab.faults = [fault for fault in tab.faults if "400 (Bad Request)" not in fault]  # the browser's own report


def test_stop_frees_the_rows_and_leaves_what_has_come(server: Server, tab: Tab) -> None:
    tab.models("other")
    tab.page.get_by_label("Prompt").fill("the red cat ?")
    before = server.metric("loralift_requests_total", KEY, model="other", status="499")
    tab.page.route("**/v1/chat/completions", lambda route: route.continue_(post_data=endless(route.request.post_data)))
    tab.page.click("#send")
    shows(tab, "#sides .text", r"[\s\S]{4}")
    tab.page.click("#stop")
    tab.page.wait_for_selector("#send:not([disabled])")
    assert tab.page.inner_text("#sides .fault") == "Stopped."
    assert len(tab.texts()[0]) > 3
    assert tab.page.evaluate("document.activeElement.name") == "prompt"
    wait_for(lambda: server.metric("loralift_requests_total", KEY, model="other", status="499") == before + 1)


def endless(body: str) -> str:
    """A request whose answer fills the context window many times over, whatever the weights say."""
    return json.dumps({**json.loads(body), "max_tokens": None, "n": 60, "temperature": 2.0})


def test_a_server_that_is_gone_is_told_of(chromium: Any, server: Server) -> None:
    tab = Tab(chromium, server, viewport=DESK)
    tab.context.set_offline(True)
    tab.page.get_by_label("Prompt").fill("the red cat ?")
    tab.answer()
    assert tab.page.locator("#sides .fault").first.inner_text() == "The server does not answer. Is it running?"
    tab.context.close()


def test_keyboard_alone_is_enough(tab: Tab) -> None:
    tab.page.keyboard.press("Tab")
    names = []
    for _ in range(30):
        tab.page.keyboard.press("Tab")
        names.append(tab.page.evaluate("document.activeElement.name || document.activeElement.id || document.activeElement.value"))
        outline = tab.page.evaluate(
            """() => { const e = document.activeElement, o = e.matches('.pill input') ? e.nextElementSibling : e;
               return e === document.body ? 'body' : getComputedStyle(o).outlineStyle; }"""
        )
        assert outline != "none", names
        if names[-1] == "prompt":
            break
    assert {"set", "place", "next", "random", "system", "prompt"} <= set(names)
    tab.page.keyboard.type("the red cat ?")
    tab.page.keyboard.press("Control+Enter")
    tab.page.wait_for_selector("#sides .figures:not(:empty)")
    shows(tab, "#status", r"^2 of 2 answers finished\.$")


@pytest.mark.parametrize(("scheme", "viewport"), LOOKS)
def test_anyone_can_read_it(chromium: Any, server: Server, scheme: str, viewport: dict[str, int]) -> None:
    """axe-core finds nothing, before and after an answer, and nothing is wider than the screen."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    tab = Tab(chromium, server, key="", viewport=viewport, color_scheme=scheme)

    def check() -> None:
        broken = axe.run(tab.page).response["violations"]
        assert [(rule["id"], [node["html"][:160] for node in rule["nodes"][:3]]) for rule in broken] == []
        assert tab.page.evaluate("document.documentElement.scrollWidth") <= viewport["width"]

    check()
    tab.page.get_by_label("API key of this server").fill(KEY)
    tab.page.keyboard.press("Enter")
    tab.page.wait_for_selector("html[data-ready]")
    check()
    tab.page.get_by_role("button", name="Next example").click()
    tab.page.wait_for_selector("#earlier:not([hidden])")
    tab.models(BASE, TRAINED, "other")
    tab.page.locator("summary", has_text="Options").click()
    tab.answer()
    check()
    small = tab.page.evaluate(
        """[...document.querySelectorAll('button, input, select, textarea, summary')].filter(e => e.checkVisibility())
           .map(e => [e.name || e.id, e.getBoundingClientRect().height]).filter(([, height]) => height < 24)"""
    )
    assert small == []
    tab.context.close()


def test_nothing_went_wrong_in_the_server(server: Server) -> None:
    assert "Traceback" not in server.log.read_text()
