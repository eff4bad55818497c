"""English questions about a page, and the wording of their answers."""

from sphinx_x.engines.ocr.wordings.base import Wordings, nouns_of
from sphinx_x.sources.layout import DETECT, NUMBERS
from sphinx_x.sources.spotting import DETECT as SPOT_PAGE

WORDINGS = Wordings(
    read_page=(
        "Read the page.",
        "Read all the text on this page.",
        "What is written on this page? Give the whole text in reading order.",
    ),
    read_part=(
        "Read the page from its beginning, {} blocks of text.",
        "Give the first {} blocks of text on this page in reading order.",
    ),
    read_region=(
        "Read the text in the region {}.",
        "What is written in {}?",
        "Give the text inside the box {}.",
    ),
    find=(
        'Where is "{}"?',
        'Please provide the bounding box coordinate of the text "{}".',
        'Find "{}" on the page.',
    ),
    spot_page=SPOT_PAGE,
    spot_region=(
        "Detect all words in the region {} and provide their bounding box coordinates.",
        "Give every word in {} with its box.",
    ),
    layout=DETECT,
    layout_of=("Where are {}?", "Detect {} in the document."),
    order=(
        "In which order are the blocks of this page read? Give their boxes.",
        "Give the boxes of all blocks in reading order.",
    ),
    order_of=(
        "In which order are these regions read: {}?",
        "Sort these regions in reading order: {}.",
    ),
    continue_text=(
        'The page says "{}". How does the text go on?',
        'Continue the text after "{}" as it stands on the page.',
    ),
    nouns=nouns_of(
        """
        title   | one title      | titles      | the titles      | title
        text    | one text block | text blocks | the text blocks | text block
        list    | one list       | lists       | the lists       | list
        table   | one table      | tables      | the tables      | table
        figure  | one figure     | figures     | the figures     | figure
        caption | one caption    | captions    | the captions    | caption
        """
    ),
    there_is=("There is ", " in the image."),
    there_are=("There are ", " in the image."),
    none="There is no {} in the image.",
    words=(("There is ", " in the image."), ("There are ", " in the image.")),
    numbers=NUMBERS[2:],
    conjunction="and",
)
