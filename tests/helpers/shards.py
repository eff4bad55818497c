"""Small shards for tests: lines of text drawn with the default font."""

import io
import random
from pathlib import Path

from PIL import Image, ImageDraw

from sphinx_x.data.sample import ImageRef, Sample
from sphinx_x.data.shards import write_shard


def line_sample(number: int, rng: random.Random) -> tuple[Sample, list[bytes]]:
    """A line of two words on white with the boxes of its words."""
    words = ["".join(rng.choices("abcde", k=rng.randint(1, 4))) for _ in range(2)]
    picture = Image.new("RGB", (100, 14), "white")
    draw = ImageDraw.Draw(picture)
    left, regions = 3, []
    for word in words:
        draw.text((left, 1), word, fill="black")
        regions.append({"text": word, "box": [int(n) for n in draw.textbbox((left, 1), word)]})
        left = regions[-1]["box"][2] + 5
    content = io.BytesIO()
    picture.save(content, "PNG")
    messages = [
        {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "Read the text."}]},
        {"role": "assistant", "content": " ".join(words)},
        {"role": "user", "content": f'Where is "{words[0]}"?'},
        {"role": "assistant", "content": [{"type": "box", "image": 0, "box": regions[0]["box"]}]},
    ]
    return Sample(f"line-{number}", [ImageRef(path="-")], messages, regions=regions), [content.getvalue()]


def write_lines(folder: Path, name: str, count: int, seed: int = 0) -> None:
    """A shard NAME-00000 of `count` lines."""
    rng = random.Random(seed)
    write_shard(folder, f"{name}-00000", [line_sample(number, rng) for number in range(count)])


def write_text(folder: Path, name: str, count: int) -> None:
    """A shard NAME-00000 of `count` dialogues without images."""
    samples = []
    for number in range(count):
        messages = [
            {"role": "user", "content": f"What comes after {number}?"},
            {"role": "assistant", "content": f"After {number} comes {number + 1}."},
        ]
        samples.append((Sample(f"text-{number}", [], messages), []))
    write_shard(folder, f"{name}-00000", samples)
