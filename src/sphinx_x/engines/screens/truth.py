"""What a page shows: its words with their boxes, and its headings, by a walk through the document."""

from __future__ import annotations

import io
import random
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from PIL import Image

from sphinx_x.boxes import Box, intersection, sides, stands_below, union
from sphinx_x.engines.documents.sheet import Drawing, Fact, Word
from sphinx_x.engines.screens.chromium import Chromium
from sphinx_x.errors import DataError

SIZES = ((720, 560), (800, 640), (900, 680), (1000, 720), (640, 800), (560, 900))
"""Widths and heights of windows."""
LEAST_WORDS = 25
"""Words of the emptiest screen that is taken."""
MOST_HIDDEN = 0.05
"""Share of words that may be covered; more are as good as texts over each other."""
AFTER = "heading:after"
"""The name of a fact: the heading after the one that it is about."""
LONGEST_HEADING = 60

WALK = """(() => {
  const wide = innerWidth, high = innerHeight, words = [], headings = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  const seen = (node, box) => {
    if (box.left < 0 || box.top < 0 || box.right > wide || box.bottom > high) return 'edge';
    const middle = (box.top + box.bottom) / 2;
    const free = [0.2, 0.5, 0.8].filter(share => {  // not at the ends, which are painted on whole pixels
      const top = document.elementFromPoint(box.left + share * (box.right - box.left), middle);
      return top && (top === node || top.contains(node) || node.contains(top));
    });
    return ['covered', 'cut', 'cut', 'whole'][free.length];
  };
  const pieces = (text, match, hyphens) => {  // of a word on several lines; whole and without a box if it is not known
    const found = [], unknown = [[match[0], null, match.index]];
    let k = match.index;
    for (const sign of match[0]) {
      const range = document.createRange();
      range.setStart(text, k);
      range.setEnd(text, k + sign.length);
      const box = range.getBoundingClientRect(), middle = (box.top + box.bottom) / 2;
      const last = found.at(-1);
      if (last && last[1].top < middle && middle < last[1].bottom && box.left >= last[1].left) {
        last[0] += sign;
        last[1].right = Math.max(last[1].right, box.right);
      } else if (box.width > 0) {
        if (last && hyphens && !last[0].endsWith('-')) return unknown;  // a hyphen is drawn that is not in the text
        const {left, top, right, bottom} = box;
        found.push([sign, {left, top, right, bottom}, k]);
      }
      k += sign.length;
    }
    return found.length > 1 && !match[0].includes('\\u00ad') ? found : unknown;
  };
  for (let text = walker.nextNode(); text; text = walker.nextNode()) {
    const parent = text.parentElement;
    if (!parent || !text.data.trim() || parent.closest('script,style,noscript,svg,math,select,textarea')) continue;
    const style = getComputedStyle(parent);
    if (style.visibility !== 'visible' || +style.opacity < 0.5 || style.userSelect === 'none') continue;
    const heading = parent.closest('h1,h2,h3,h4');
    for (const match of text.data.matchAll(/\\S+/g)) {
      const range = document.createRange();
      range.setStart(text, match.index);
      range.setEnd(text, match.index + match[0].length);
      const boxes = [...range.getClientRects()].filter(box => box.width > 0 && box.height > 0);
      if (!boxes.length) continue;
      const outside = boxes.every(box => box.bottom <= 0 || box.top >= high || box.right <= 0 || box.left >= wide);
      if (outside) continue;
      const alone = [[match[0], boxes[0], match.index]];
      const parts = boxes.length > 1 ? pieces(text, match, style.hyphens === 'auto') : alone;
      for (const [said, box, place] of parts) {
        const word = {text: said, how: box ? seen(parent, box) : 'broken', size: parseFloat(style.fontSize),
          begins: place === 0, ends: place + said.length === text.data.length, piece: parts.length > 1,
          box: (box ? [box] : boxes).map(box => [box.left, box.top, box.right, box.bottom])};
        if (heading) {
          let number = headings.indexOf(heading);
          if (number < 0) number = headings.push(heading) - 1;
          word.heading = number;
        }
        words.push(word);
      }
    }
  }
  const page = document.documentElement.scrollWidth;
  return {words, headings: headings.map(heading => heading.innerText), wider: page > wide + 1};
})()"""
"""Returns the words in the window, in the order of the document, and the headings that they are of."""


def look(browser: Chromium, page: Path, rng: random.Random, others: Sequence[str] = ()) -> tuple[Drawing, Image.Image]:
    """Show a page somewhere and return the truth about what is in the window, and its picture.

    Args:
        browser: The browser.
        page: The file.
        rng: The source of randomness.
        others: Headings that are asked for where they are not there.

    Raises:
        DataError: There is little text, or texts lie over each other.
    """
    size = rng.choice(SIZES)
    browser.show(page, size)
    tall = browser.run("document.documentElement.scrollHeight")
    down = 0 if rng.random() < 0.4 else rng.randint(0, max(int(tall) - size[1], 0))
    browser.run(f"document.documentElement.style.scrollBehavior = 'auto'; scrollTo(0, {down})")
    found = browser.run(WALK)
    check(found)
    image = Image.open(io.BytesIO(browser.picture())).convert("RGB")
    return truth_of(found, image, others), image


def truth_of(found: dict[str, Any], image: Image.Image, others: Sequence[str] = ()) -> Drawing:
    """Return what the walk found as a drawing; words that are cut, covered or at the edge are no words of it.

    Args:
        found: What `WALK` returned.
        image: The picture.
        others: Headings that are asked for where they are not there.

    Raises:
        DataError: There is little text, or texts lie over each other.
    """
    whole = check(found)
    boxes = [_box(one) for one in whole]
    words: list[Word] = []
    row, last = 0.0, None
    for one, box in zip(whole, boxes, strict=True):
        if last is None or not _beside(last, box):
            row = box[3] + len(words) * 1e-6  # rows of two columns are two, even at the same height
        words.append(Word(one["text"], box, row, one["size"]))
        last = box
    broken = {one["heading"] for one in joined(found["words"]) if "heading" in one and not _entire(one)}
    headings: dict[int, Fact] = {}
    for number in range(len(found["headings"])):
        numbers = tuple(k for k, one in enumerate(whole) if one.get("heading") == number)
        text = " ".join(words[k].text for k in numbers).rstrip("¶#").strip()
        if numbers and number not in broken and 0 < len(text) <= LONGEST_HEADING and '"' not in text:
            headings[number] = Fact("listed", text, numbers)
    places = {k: union([words[number].box for number in fact.words]) for k, fact in headings.items()}
    told = Counter(fact.value for fact in headings.values())
    # what comes next in the document may stand beside it, or above it
    after = [
        Fact(AFTER, headings[k + 1].value, headings[k + 1].words, fact.value)
        for k, fact in headings.items()
        if k + 1 in headings and stands_below(places[k], places[k + 1]) and told[fact.value] == 1
    ]
    # without one that is cut or covered, neither the first nor their number is known, nor by which column one begins,
    # and of two that say the same nobody knows which one is meant
    ordered = all(stands_below(one, other) for one, other in pairwise(places.values())) and set(told.values()) <= {1}
    listed = tuple(headings.values()) if ordered and len(headings) == len(found["headings"]) else ()
    count = Fact("headings", str(len(listed)), tuple(k for fact in listed for k in fact.words))
    counts = (count,) if listed else ()
    shown = {" ".join(text.split()).rstrip("¶#").strip() for text in found["headings"]}
    things = tuple(other for other in others if other not in shown)
    return Drawing(image.convert("L"), words, after, [], (), things, counts, listed)


def check(found: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the words that are whole.

    Raises:
        DataError: There are few, or texts lie over each other.
    """
    if found.get("wider"):
        raise DataError("a page that is wider than the window")
    told = joined(found["words"])
    whole = [one for one in told if one["how"] == "whole"]
    if len(whole) < LEAST_WORDS:
        raise DataError("a screen with little text")
    hidden = sum(one["how"] in ("covered", "cut") for one in told)
    if hidden > MOST_HIDDEN * len(told) or overlapping([_box(one) for one in whole]):
        raise DataError("texts of the page lie over each other")
    return whole


def joined(words: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return words with those put together that are parts of one, as `f` and `(x)` in two styles are."""
    made: list[dict[str, Any]] = []
    for word in words:
        last = made[-1] if made else None
        close = last and last["ends"] and word["begins"] and _touching(last["box"][-1], word["box"][0])
        if last is not None and close:
            boxes = last["box"] + word["box"]
            whole = last["how"] == word["how"] == "whole"
            edges = list(zip(*boxes, strict=True))
            box = [min(edges[0]), min(edges[1]), max(edges[2]), max(edges[3])]
            how = "whole" if whole else "edge" if "edge" in (last["how"], word["how"]) else "cut"
            piece = last.get("piece") or word.get("piece")
            text = last["text"] + word["text"]
            made[-1] = last | {"text": text, "box": [box], "how": how, "ends": word["ends"], "piece": piece}
        else:
            made.append(dict(word))
    return made


def overlapping(boxes: Sequence[Box]) -> bool:
    """Return whether any two boxes have more in common than lines set close do."""
    order = sorted(range(len(boxes)), key=lambda k: boxes[k][1])
    for place, k in enumerate(order):
        for other in order[place + 1 :]:
            if boxes[other][1] >= boxes[k][3]:
                break
            wide, high = sides(intersection(boxes[k], boxes[other]))
            if wide > 1 and high > 0.35 * min(sides(boxes[k])[1], sides(boxes[other])[1]):
                return True
    return False


def _box(word: dict[str, Any]) -> Box:
    left, top, right, bottom = word["box"][0]
    return (round(left, 1), round(top, 1), round(right, 1), round(bottom, 1))


def _entire(word: dict[str, Any]) -> bool:
    """Return whether a word is seen whole, on one line."""
    return word["how"] == "whole" and not word.get("piece")


def _beside(last: Box, box: Box) -> bool:
    """Return whether a word follows another one on its row."""
    common = min(last[3], box[3]) - max(last[1], box[1])
    return box[0] >= last[2] - 1 and common > 0.5 * min(last[3] - last[1], box[3] - box[1])


def _touching(last: Sequence[float], box: Sequence[float]) -> bool:
    common = min(last[3], box[3]) - max(last[1], box[1])
    return abs(box[0] - last[2]) < 1 and common > 0.5 * min(last[3] - last[1], box[3] - box[1])
