"""The questions' templates of the reference's evaluation (paper, appendix), shared by tasks."""

SHORT = "{}\nAnswer the question using a single word or phrase."
UNANSWERABLE = (
    "{} When the provided information is insufficient, respond with 'Unanswerable'.\n"
    "Answer the question using a single word or phrase."
)
BOX = "Please provide the bounding box coordinate of the region this sentence describes: {}."
LETTER = "Answer with the option's letter from the given choices directly."
LETTER_PREFIX = "The answer is"
OPTIONS = f"{{}}\n{LETTER}"
CHINESE_OPTIONS = "{}\n请直接回答选项字母。"
"""The same in Chinese, as LLaVA asks it."""
