"""What a browser sees of a page that a reader would stumble over."""

from __future__ import annotations

from asgml_core.book.browser import Page

WIDTHS = {"wide": (1440, 900), "narrow": (390, 844)}

#: What is seen to be wrong with a page, as texts. Colours are compared as in WCAG 2: 4.5 to 1, and
#: 3 to 1 for large letters; text over a picture, and text that is not shown, are left out.
LOOK = """
(() => {
    const said = [];
    const root = document.documentElement;
    if (root.scrollWidth > window.innerWidth)
        said.push(`the page is ${root.scrollWidth} wide in a window of ${window.innerWidth}`);
    const article = document.querySelector("article.bd-article, main");
    for (const picture of article.querySelectorAll("img")) {
        const box = picture.getBoundingClientRect();
        if (picture.checkVisibility() && (!picture.complete || !picture.naturalWidth))
            said.push(`broken picture ${picture.src.split("/").pop()}`);
        if (box.width && !scrolls(picture) && box.right > window.innerWidth + 1)
            said.push(`picture ${picture.src.split("/").pop()} is cut`);
    }
    for (const table of article.querySelectorAll("table"))
        if (!scrolls(table) && table.getBoundingClientRect().right > window.innerWidth + 1)
            said.push(`a table is cut: ${table.textContent.trim().slice(0, 30)}`);
    for (const formula of document.querySelectorAll("mjx-merror, .math-error"))
        said.push(`formula: ${formula.textContent}`);
    const walker = document.createTreeWalker(article, NodeFilter.SHOW_TEXT);
    const seen = new Set();
    while (walker.nextNode()) {
        const part = walker.currentNode.parentElement;
        if (seen.has(part) || !walker.currentNode.data.trim()) continue;
        seen.add(part);
        if (!part.checkVisibility({opacityProperty: true, visibilityProperty: true})) continue;
        if (part.closest("svg, [class*=kbd], mjx-assistive-mml, .sr-only, script, style")) continue;
        const style = getComputedStyle(part), size = parseFloat(style.fontSize);
        const large = size >= 24 || (size >= 18.6 && Number(style.fontWeight) >= 700);
        const behind = background(part), front = over(colour(style.color), behind);
        const ratio = contrast(front, behind);
        const text = walker.currentNode.data.trim().slice(0, 20);
        if (ratio < (large ? 3 : 4.5))
            said.push(`contrast ${ratio.toFixed(1)} of "${text}"`
                + ` (${part.tagName.toLowerCase()}.${part.className}, ${style.color})`);
    }
    return [...new Set(said)];

    function scrolls(part) {
        for (let around = part.parentElement; around; around = around.parentElement)
            if (/auto|scroll/.test(getComputedStyle(around).overflowX)
                && around !== document.body && around !== root) return true;
        return false;
    }
    function colour(text) {
        const numbers = text.match(/[\\d.]+/g).map(Number);
        const scale = text.startsWith("color(") ? 255 : 1;
        return [...numbers.slice(0, 3).map(x => x * scale), numbers[3] ?? 1];
    }
    function over(front, behind) {
        return [0, 1, 2].map(i => front[i] * front[3] + behind[i] * (1 - front[3]));
    }
    function background(part) {
        if (!part) return [255, 255, 255];
        const own = colour(getComputedStyle(part).backgroundColor);
        return own[3] === 1 ? own.slice(0, 3) : over(own, background(part.parentElement));
    }
    function light(colours) {
        const parts = colours.map(x => x / 255).map(x => x <= 0.04045 ? x / 12.92
            : ((x + 0.055) / 1.055) ** 2.4);
        return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2];
    }
    function contrast(one, two) {
        const [high, low] = [light(one), light(two)].sort((a, b) => b - a);
        return (high + 0.05) / (low + 0.05);
    }
})()
"""


def look(page: Page, theme: str, width: str) -> list[str]:
    """Return what is wrong with the page that is open."""
    page.resize(*WIDTHS[width])
    page.ask(f"document.documentElement.dataset.theme = '{theme}'")
    # Two frames: the new style and layout are there.
    page.ask("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
    return [f"{width}, {theme}: {said}" for said in page.ask(LOOK)]
