"""Captions: MSCOCO, ShareGPT4V and LAION-GPT4V."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from functools import partial

from sphinx_x.errors import DataError
from sphinx_x.sources.base import Draft, Expected, Raw, Record, Source, grouped
from sphinx_x.sources.dialogue import dialogue, pick, rng_of
from sphinx_x.sources.instruction import FORM, build_conversations, read_conversations

SENTENCE = (
    "Provide a one-sentence caption for the provided image.",
    "Describe the image in one sentence.",
    "Write a short caption for this image.",
)
AGAIN = (
    "Give another one-sentence caption for the image.",
    "Write one more short caption, worded differently.",
    "How else could the image be described in one sentence?",
    "Caption the image once more in a single sentence.",
    "Describe the image in one sentence as another person might.",
    "Suggest one last alternative caption.",
)
DETAILED = (
    "Describe the image in detail.",
    "Provide a detailed description of the image.",
    "Give a detailed account of what this image shows.",
)
SHARDS = "[0-9]*.parquet"
"""What img2dataset writes beside each folder of images: one row per address, with the name of its image."""


def read_coco(raw: Raw) -> Iterator[Record]:
    """Yield COCO's caption annotations, one record for each image."""
    return grouped(raw.json("captions_{split}2014.json", "annotations"), "image_id")


def build_coco(record: Record, raw: Raw) -> Draft:
    """Ask for all captions of an image, each with other words; repeated captions are left out."""
    left_out: Counter[str] = Counter()
    captions = list(dict.fromkeys(" ".join(entry["caption"].split()) for entry in record.data))
    left_out["same caption again"] = len(record.data) - len(captions)
    if "" in captions:
        captions.remove("")
        left_out["empty caption"] = 1
    questions = [pick(SENTENCE, record.id), *rng_of(record.id).sample(AGAIN, len(AGAIN))]
    left_out["caption too many"] = max(0, len(captions) - len(questions))
    picture = raw.picture(f"COCO_{raw.split}2014_{int(record.id):012d}.jpg")
    return Draft(dialogue(list(zip(questions, captions, strict=False))), [picture], left_out=left_out)


def read_laion(raw: Raw) -> Iterator[Record]:
    """Yield rows of link and caption with the name that img2dataset gave the link's image, None without one."""
    found = raw.parquet(SHARDS, ["url", "key", "status"])
    names = {row["url"]: row["key"] for row in found if row["status"] == "success"}
    for record in grouped(raw.parquet("{split}-*.parquet", ["link", "caption"]), "link"):
        yield Record(record.id, (names.get(record.id), record.data), record.count)


def build_laion(record: Record, raw: Raw) -> Draft:
    """Ask for the first caption of an image; further ones of the same link are left out."""
    name, rows = record.data
    if name is None:
        raise DataError("image not downloaded")
    messages = dialogue([(pick(DETAILED, record.id), rows[0]["caption"])])
    return Draft(messages, [raw.picture(name)], left_out=Counter({"another caption": len(rows) - 1}))


SHAREGPT4V = Source(
    name="sharegpt4v",
    title="ShareGPT4V (100K, by GPT-4V)",
    task="caption",
    home="https://huggingface.co/datasets/Lin-Chen/ShareGPT4V",
    licence="CC-BY-NC-4.0 (texts); images under the terms of their own sets",
    files=(
        Expected("sharegpt4v_instruct_gpt4-vision_cap100k.json", "captions"),
        Expected("coco/train2017/*.jpg", "images of COCO train2017"),
        Expected("llava/llava_pretrain/images/*/*.jpg", "images of LLaVA-Pretrain (LAION, CC, SBU)"),
        Expected("sam/images/*.jpg", "images of SA-1B, 000000.tar to 000050.tar"),
        Expected("share_textvqa/images/*.jpg", "images from the web (text)"),
        Expected("web-celebrity/images/*.jpg", "images from the web (people)"),
        Expected("web-landmark/images/*.jpg", "images from the web (landmarks)"),
        Expected("wikiart/images/*.jpg", "images from the web (art)"),
    ),
    unit="captions",
    count={"train": 102_025},
    layout="InternLM/InternLM-XComposer projects/ShareGPT4V/docs/Data.md; count: OpenGVLab/InternVL "
    f"internvl_chat/shell/data/data_yi34b_finetune.json; {FORM}",
    prompts=("{}",),
    read=partial(read_conversations, "sharegpt4v_instruct_gpt4-vision_cap100k.json"),
    build=build_conversations,
    note="The questions are the set's own. Images are fetched from seven places, see the layout.",
)

SOURCES = (
    Source(
        name="coco-captions",
        title="MSCOCO captions",
        task="caption",
        home="https://cocodataset.org/#download",
        licence="CC-BY-4.0 (annotations); images under Flickr's terms",
        files=(
            Expected("captions_{split}2014.json", "captions, about five an image"),
            Expected("{split}2014/COCO_{split}2014_*.jpg", "images of COCO 2014", {"train": 82_783, "val": 40_504}),
        ),
        unit="captions",
        count={"train": 414_113, "val": 202_654},
        layout="data format of COCO (https://cocodataset.org/#format-data) and its reader, cocodataset/cocoapi "
        "PythonAPI/pycocotools/coco.py",
        prompts=(*SENTENCE, *AGAIN),
        read=read_coco,
        build=build_coco,
        note="The release of 2014, not of 2017: its training images are none of val2014, on which VQAv2 and OK-VQA are "
        "measured (most of those are in train2017), and with its 414,113 captions the paper's 0.5 million for captions "
        "comes out.",
    ),
    SHAREGPT4V,
    replace(
        SHAREGPT4V,
        name="sharegpt4v-pt",
        title="ShareGPT4V-PT (1.2M, by ShareCaptioner)",
        files=(Expected("share-captioner_coco_lcs_sam_1246k_1107.json", "captions"), *SHAREGPT4V.files[1:4]),
        count={},
        read=partial(read_conversations, "share-captioner_coco_lcs_sam_1246k_1107.json"),
        note="About 1,246,000 captions by a smaller model; more than the paper counts for all captions, so hardly part "
        "of its data.",
    ),
    Source(
        name="laion-gpt4v",
        title="LAION-GPT4V",
        task="caption",
        home="https://huggingface.co/datasets/laion/gpt4v-dataset",
        licence="CC0-1.0 (texts); images under their owners' terms",
        files=(
            Expected("{split}-*.parquet", "links and captions"),
            Expected(SHARDS, "img2dataset's record of each download"),
            Expected("[0-9]*/[0-9]*.jpg", "the downloaded images"),
        ),
        unit="captions",
        count={},
        layout="https://huggingface.co/datasets/laion/gpt4v-dataset/tree/main/data (file); columns link and caption as "
        "public loaders use them; rom1504/img2dataset README.md (images)",
        prompts=DETAILED,
        read=read_laion,
        build=build_laion,
        note="Images are not in the release: fetch them with img2dataset --url_list data --input_format parquet "
        "--url_col link --resize_mode no --output_format files. Many links are dead by now: allow for a larger share "
        "of records that are set aside.",
    ),
)
