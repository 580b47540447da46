"""What a model writes does no harm on the page, and looks the same streamed and at once."""

from __future__ import annotations

import json
import re

from browsers import ask, dialogue, imported, opened
from paths import TESTS
from playwright.sync_api import Browser, Page, expect
from program import Program
from servers import serve

TEXTS = TESTS / "texts"
HOSTILE = (TEXTS / "hostile.md").read_text(encoding="utf-8")
SAMPLE = (TEXTS / "sample.md").read_text(encoding="utf-8")
CUT = """async ({text, cuts}) => {
  const {Blocks} = await import("/page/blocks.js");
  const show = (pieces) => {
    const root = document.createElement("div");
    const blocks = new Blocks(root);
    let shown = "";
    for (const piece of pieces) blocks.update((shown += piece));
    blocks.finish(shown);
    return root.innerHTML;
  };
  await show([text]);  // loads the colours
  await import("/page/vendor/highlight/highlight.js");
  await new Promise((resolve) => setTimeout(resolve));
  const pieces = [];
  for (let at = 0, n = 0; at < text.length; n++) {
    const next = at + cuts[n % cuts.length];
    pieces.push(text.slice(at, next));
    at = next;
  }
  return [show([text]), show(pieces)];
}"""


def assert_harmless(page: Page) -> None:
    """Fail where the hostile text became more than text."""
    assert not page.evaluate("window.pwned")
    assert page.url.startswith("http://127.0.0.1")
    thread = page.locator("#thread")
    for forbidden in ("script", "iframe", "style", "form", "object", "svg:not(.icon)", "[onerror]"):
        expect(thread.locator(forbidden)).to_have_count(0)
    expect(thread.locator(".text [style], .text [id], .text [class*=toast]")).to_have_count(0)
    sources = thread.locator("img").evaluate_all("all => all.map((img) => img.src)")
    assert all(source.startswith("data:image/") for source in sources)
    for link in thread.locator("a[href]").all():
        assert re.match("https?:|mailto:", link.get_attribute("href") or "")
        assert "noopener" in (link.get_attribute("rel") or "")
    expect(thread).to_contain_text("<script>window.pwned = 1</script>")  # said, not done


def test_hostile_text_of_an_import_is_text(page: Page) -> None:
    imported(page, dialogue(HOSTILE, HOSTILE))
    page.locator(".conversations .pick").click()

    expect(page.locator(".said")).to_have_text(HOSTILE.strip())
    expect(page.get_by_text("The end of what is hostile.").last).to_be_visible()
    assert_harmless(page)
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.get_by_role("button", name="Copy the code").last.click()
    expect(page.locator("#announcer")).to_have_text("Copied")
    code = 'const close = "</script><script>window.pwned = 1</script>";'
    assert code == page.evaluate("navigator.clipboard.readText()")


def test_a_hostile_model_is_harmless_and_its_thoughts_are_folded(
    browser: Browser, chat: Program
) -> None:
    thought = "I *weigh* it. <img src=x onerror='window.pwned = 1'>"
    hostile = "\n\n".join([*HOSTILE.split("\n\n")[:4], "[run](javascript:window.pwned=1) end."])
    literal = json.dumps(f"<think>{thought}</think>{hostile}", ensure_ascii=False)
    template = (
        "{% for m in messages %}<|{{ m.role }}|>"
        "{% if m.reasoning_content %}<think>{{ m.reasoning_content }}</think>{% endif %}"
        "{{ m.content }}<|end|>{% endfor %}{% if add_generation_prompt %}<|assistant|>"
        "{% if not enable_thinking %}<think></think>{% endif %}{% endif %}"
    )
    flags = (
        "--grammar",
        f"root ::= {literal}",
        "--chat-template",
        template,
        "-t",
        "1",
        "-c",
        "4096",
    )
    with serve(chat, *flags) as server, opened(browser, server.url) as (page, _):
        ask(page, "Well?")
        expect(page.get_by_text("run end.")).to_be_visible()
        expect(page.locator("#stop")).to_be_hidden()
        expect(page.get_by_text("I weigh it.")).to_be_hidden()
        page.get_by_text("Thought for 1 second").click()
        expect(page.get_by_text("I weigh it.")).to_be_visible()
        expect(page.locator(".thoughts em")).to_have_text("weigh")
        assert_harmless(page)


def test_what_is_streamed_looks_like_what_is_shown_at_once(page: Page) -> None:
    for text, cuts in (
        (SAMPLE + HOSTILE, [1]),
        (HOSTILE + SAMPLE, [3, 1, 7]),
        (SAMPLE.replace("\n", "\r\n") + HOSTILE + SAMPLE, [40, 200]),
    ):
        whole, pieces = page.evaluate(CUT, {"text": text, "cuts": cuts})
        assert whole == pieces


def test_settled_blocks_are_not_drawn_again(page: Page) -> None:
    drawn = page.evaluate(
        """async () => {
          const {Blocks} = await import("/page/blocks.js");
          const root = document.createElement("div");
          const blocks = new Blocks(root);
          let count = 0;
          new MutationObserver((changes) => (count += changes.length))
            .observe(root, {childList: true, subtree: true});
          let text = "";
          for (let n = 0; n < 200; n++) blocks.update((text += `Paragraph ${n}.\\n\\n`));
          await new Promise((resolve) => setTimeout(resolve));
          return count;
        }"""
    )

    assert drawn < 200 * 3
