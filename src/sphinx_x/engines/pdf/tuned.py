"""The tuned numbers of the PDF reader, by stage, each with what it was measured on.

An entry reads: name = value, what it is, [what it was measured on; pages that change at 0.8 and 1.25 times the value].

- agreement: 200 kept pages of 29 scripts and languages, read again by two OCR programs
  (`benchmarks/ocr_agreement.py`).
- layout: 72 pages labelled by eye; set on the 30 of the part `tuning`, and checked on the others
  (`benchmarks/ocr_layout.py`).
- maps: 60 real documents with the letters of one font changed, and 626 fonts of real pages
  (`benchmarks/wrong_maps.py`).
- tests: the pages that are made in `tests/engines/pdf`, and real documents with the case.
- eye: set by eye on manuals of Debian; nothing else is known about it.
- limit: a bound against hostile files, not tuned. speed: changes what is examined, or for how long.

The pages that change are those of the PDFs named in `benchmarks/tuned_numbers.py`, which counts them: 0 means that a
number decides nothing there, not that it never does. Numbers that are used before there are words were not counted (-).
If several numbers have the same set, they were judged together on it; no number was varied alone.
"""

# The picture (`picture`)
PAGE_SIDES = (20.0, 14_400.0)
"""Points; the allowed range of a page's sides (14,400 is PDF's own limit) [limit]"""
LEAST_PIXELS = 16
"""Pixels; the least shorter side of a picture [limit]"""
PAGE_COLOUR = 24
"""Difference between channels from which a page is kept in colour [eye; -]"""
STRIP_OF_PICTURE = 64
"""Rows that are processed together, few enough for the processor's cache [speed]"""

# Characters (`text_layer`)
FLAT = 1e-2
"""Pixels; a thinner box is ignored, as those of bitmap fonts often are thin [tests; -]"""

# What is drawn (`drawings`)
MOST_OBJECTS = 30_000
"""Objects of a page that are examined [limit]"""
FORM_DEPTH = 6
"""How deep objects may be nested in forms [limit]"""
RULE_WIDTH = 2.0
"""Points; anything thinner, and longer than `RULE_LENGTH`, is a ruled line [layout; -]"""
RULE_LENGTH = 12.0
"""Points [layout; -]"""
DRAWING_CELL = 8
"""Pixels; shapes that are closer to each other belong to one drawing [layout; -]"""
TOUCHING = 2
"""Pixels between boxes of drawings that touch [layout; -]"""
FIGURE_SIDE = 24
"""Pixels; the least shorter side of a figure [layout; -]"""
FIGURE_AREA = 0.004
"""Least share of the page that a figure covers [layout; -]"""
SCAN = 0.85
"""Share of the page from which an image is the page itself [eye; -]"""
DRAWING_SHAPES = 4
"""Shapes other than rectangles and vertical lines from which a group is a drawing [layout; -]"""

# Text that is covered (`covers`)
COVERED_SIDE = 6.0
"""Pixels; the least sides of a character's box when covers are looked for [tests; -]"""
COVER_CELL = 2
"""Pixels of a cell of the grid in which characters are marked [speed]"""
FAINTEST = 8
"""Opacity, of 255, from which there is ink [tests; -]"""
SEEN_CHANGE = 16
"""Least visible difference of a channel [tests; -]"""
SEEN_SHARE = 0.5
"""Share of a character's ink that must be visible [tests; -]"""
THIN = 2
"""Pixels; the sides of thin boxes [tests; -]"""

# Text without ink (`seen`)
INK_EDGE = 6
"""Difference of grey between neighbours, in a picture of half the size, from which there is ink and not noise [eye;
-]"""

# Turned pages (`turns`)
TURNED = 0.8
"""Share of the characters in one other direction from which a page is turned [eye; -]"""

# Fonts that cannot be trusted (`trust`)
JUDGED_LETTERS = 12
"""Letters that a font must have to be judged by their heights [maps; -]"""
JUDGED_WORDS = 8
"""Words that a font must have to be judged by them [maps; -]"""
JUDGED_CHARACTERS = 40
"""Characters that a font must have to be judged by words or pictures [maps; -]"""
HALF = 0.5
"""Share of a font's letters, or pictures, from which they decide [maps; -]"""
SOME = 0.4
"""Share of words in another script, or of changes of script, from which a font is wrong [maps; -]"""
MANY_SCRIPTS = 4
"""Number of scripts that no real word mixes [maps; -]"""
DIFFERENT_LETTERS = 10
"""Distinct letters that a font must have to be compared with pictures [maps; -]"""
SUFFICIENT_LETTERS = 20
"""Most letters and digits to compare [speed]"""
LETTER_PLACES = 2
"""Places at which each of them is compared [speed]"""
LOWEST_LETTERS = 3.0
"""Median height of letters, in pixels, from which pictures can be told apart [maps; -]"""
UNLIKE = 0.26
"""Misfit from which a map is wrong: 98 % of the right maps of 626 real fonts had less than 0.21, random permutations
0.34 and more, swapped letters of one shape 0.26 and more except for 5 % [maps; -]"""
FIRST_LETTERS = 12
"""Letters to compare first [speed]"""
FITTING = 0.1
"""Misfit of these below which the others need not be compared [maps; -]"""
VOUCHED_WORDS = 3
"""Distinct commonest words of a language from which a font's letters are right [maps; -]"""
VOUCHED_SHARE = 0.04
"""Share of its words that these must be [maps; -]"""

# Shapes of letters (`shapes`)
ASPECT_FINE = 0.2
"""Penalty on a correlation for a difference of 1 in the logarithm of width over height [maps; -]"""
ODDEST_ASPECT = 1.5
"""Largest such difference that counts [maps; -]"""

# Letters set apart (`tracking`)
TRACKED = (0.12, 1.5)
"""Em; the range of spacing of tracked letters [tests; -]"""
TRACKING_EVEN = 0.1
"""Em; the largest difference between gaps of one tracking, since letters are kerned [tests; 0, 0]"""
TRACKING_PLACED = 0.75
"""Share of such gaps if each letter is placed individually [tests; 0, 1]"""
TRACKING_SAID = 0.6
"""The same if the text object states its letter spacing [tests; 0, 0]"""
WORDS_WIDER = 0.13
"""Em by which the gap between tracked words is wider than that between letters [tests; 0, 0]"""
SHORT_WORD = 3
"""Letters of a word that must be a common English one [tests; 1, 2]"""
LONG_WORD = 4
"""Letters of a word that only has to look like one [tests; 1, 0]"""

# Words and lines (`words`)
SPLIT = 0.28
"""Em; a wider gap separates words even if the text layer has no space [agreement; 0, 0]"""
CJK_SPLIT = 0.7
"""Em; the same between Chinese or Japanese characters [agreement; 0, 0]"""
MERGE = 0.08
"""Em; a space that pdfium inferred in a narrower gap is ignored [agreement; 4, 0]"""
SAME_LINE = 1.5
"""Em; the widest gap in a line between neighbours in the order of the text layer [agreement; 5, 5]"""
OUT_OF_ORDER = 0.7
"""Em; the same between others, narrower than what separates columns [agreement; 0, 0]"""
MONO_OUT_OF_ORDER = 0.95
"""Em; the same for monospaced letters, whose spaces are wider [agreement; 0, 0]"""
NARROW_SPACE = 0.175
"""Em; the narrowest space between words placed individually; that in formulas is narrower [agreement; 0, 0]"""
SPACES_DIFFER = 0.12
"""Em by which the space between parts of a line may be wider than between their words [agreement; 0, 0]"""
LEAST_SPACE = 0.1
"""Em; the narrowest space between words that are not neighbours in the text layer [agreement; 0, 0]"""
LARGE_INITIAL = 1.7
"""Size of an initial relative to the letters beside it [tests; 0, 0]"""
PARTS_BEFORE = 40
"""Parts of lines, from the top, among which those of one line are searched for [speed; 0, 0]"""

# Initials (`initials`)
INITIAL_NEAR = 1.6
"""Em of small letters; their largest distance from an initial [tests; 0, 0]"""

# Formulas (`formulas`)
FORMULA_LONGEST = 120
"""Most characters of a line that may be a formula [layout; 0, 0]"""
FORMULA_PIECE = 16
"""Most characters of a piece without words [layout; 0, 0]"""
FORMULA_SMALL = 0.82
"""Size of a piece's letters relative to those of its line [layout; 1, 13]"""
FORMULA_REACH = 0.15
"""Share of a piece's height inside the height of its line [layout; 0, 0]"""
FORMULA_NEAR = 0.15
"""Em of white between a line and a piece of smaller letters [layout; 0, 0]"""
FORMULA_BESIDE = 1.0
"""Em beside a formula where its pieces may also stand [layout; 0, 2]"""
FORMULA_WINDOW = 24
"""Lines, from the piece upwards, among which its line is searched for [speed; 0, 0]"""
FORMULA_HIGHEST = 6.0
"""Em; a taller line takes no pieces [layout; 0, 0]"""

# Figures (`figures`)
IN_FIGURE = 0.5
"""Share of a line's box inside a figure from which the line belongs to it [layout; 0, 0]"""
TEXT_IN_DRAWING = 0.35
"""Largest share of a drawing that text covers; beyond it, the drawing decorates the text [layout; 0, 0]"""

# Ruled tables (`tables`)
SAME_ENDS = 4.0
"""Pixels between ends of ruled lines of the same width [layout; 0, 0]"""
RULE_GAP = 4.0
"""Pixels between pieces of one ruled line [layout; 0, 0]"""
RULE_OF_TABLE = 40.0
"""Pixels; the shortest ruled line of a table [layout; 0, 0]"""
TABLE_ROWS = 2
"""Least number of rows with several cells in a ruled table [layout; 0, 0]"""
TABLE_SHARE = 1 / 3
"""Their share of the rows between two ruled lines [layout; 0, 0]"""
CELL_STRIP = 0.5
"""Em of white that separates the cells of a narrow table [layout; 0, 0]"""
STRIP_ROWS = 3
"""Least number of rows in which it does so [layout; 0, 0]"""
MOST_RULES = 400
"""Ruled lines of a page that are examined [limit; 0, 0]"""

# Listings (`listings`)
LISTING_ROWS = 2
"""Least number of rows of a listing [layout; 0, 0]"""
LISTING_SHARE = 0.6
"""Share of its rows that are set, or read, like code [layout; 1, 0]"""
CODE_CELL = 1.0
"""Em of white between two cells of a row [layout; 1, 1]"""
CODE_ALIGNED = 0.5
"""Em between positions that are aligned vertically [layout; 0, 0]"""
REGULAR_ROWS = 0.8
"""Share of rows with the same cells from which they are those of a table [layout; 0, 0]"""

# Columns and reading order (`order`)
GUTTER = 0.8
"""Em; the narrowest white between two columns [layout; 0, 3]"""
MAIN_EDGE = 0.4
"""Share of lines that begin at one position from which it is an edge of text [layout; 2, 3]"""
PAGE_EDGE = 0.6
"""The same, from which it is the page's edge [layout; 2, 1]"""
NOTE_WHITE = 0.5
"""Em of white between a margin note and the edge [layout; 0, 2]"""
HEAD_WHITE = 1.5
"""Gutters of white below lines that form the page's head [layout; 0, 0]"""
PROSE_FILL = 0.6
"""Share of a column of running text that its median line fills [layout; 0, 1]"""
PROSE_CHARS = 12
"""Least number of characters in that line [layout; 7, 0]"""
PROSE_LINES = 3
"""Least number of lines of such a column [layout; 0, 1]"""
ALIGNED = 0.7
"""Share of lines with a partner at the same height from which columns may be a table's [layout; 1, 0]"""
NOTES_TO_LINES = 0.3
"""Most margin notes per line of the text [layout; 0, 0]"""
IN_MARGIN = 0.15
"""Share of the page's lines that may extend into the margin [layout; 0, 0]"""
COLUMN_DEPTH = 12
"""How often columns are cut into columns [limit; 0, 0]"""

# Blocks (`blocks`)
ROW_LINES = 3
"""Rows from which a block of rows may be a table [layout; 3, 0]"""
LEADING = 0.55
"""Em of white, beyond the usual, that ends a block [layout; 8, 12]"""
SMALLER = 0.82
"""Size of letters relative to those before that ends a block [layout; 1, 53]"""
INDENT = 0.8
"""Em of an indent [layout; 1, 0]"""
SHORT_LINE = 1.5
"""Em by which a short line ends before the column's edge [layout; 0, 0]"""
SPACED = 1.12
"""Pitch relative to the usual that ends a paragraph after such a line [layout; 20, 6]"""
STEADY = 1.04
"""Pitch relative to the usual up to which a line continues, whatever white its letters leave [layout; 0, 1]"""
STEADY_PITCH = 1.5
"""The same in em [layout; 0, 1]"""
MOST_PITCH = 1.7
"""Em from one line to the next in widely spaced text [layout; 2, 2]"""
BLANK_LINE = 2.3
"""Pitch relative to the usual at a blank line of a listing [layout; 7, 0]"""
FULL_LINE = 0.8
"""Share of a column's width from which a line fills it [layout; 0, 6]"""
PITCHES_NEAR = 4
"""Lines before and after whose pitch is compared [layout; 2, 3]"""
EVEN_EDGE = 0.6
"""Em between the ends of lines with an even edge [layout; 0, 0]"""
CENTRED = 0.5
"""Em between the centres of centred lines [layout; 0, 0]"""
INDEX_LINES = 5
"""Lines from which a column may be one of an index [layout; 0, 0]"""

# Tagged files (`structure`)
TAG_DEPTH = 64
"""How deep elements of a tagged file may be nested [limit]"""
MOST_TAGS = 50_000
"""Elements that are examined [limit]"""
TAGGED = 1 / 3
"""Share of a page's characters from which its tags are used [layout; -]"""
TAGGED_LINES = 10
"""Lines of a page from which elements per line are counted [layout; -]"""
TAGS_PER_LINE = 0.8
"""Elements per line from which they are lines and not paragraphs [layout; -]"""

# Classes of layout (`layout`)
LARGER_TITLE = 1.125
"""Size of a title's letters relative to most letters [layout; 49, 6]"""
SENTENCE = 60
"""Characters from which anything that ends like a sentence is not a title, however large [layout; 0, 0]"""
EDGE = 0.09
"""Share of the page's height at its edges for lines by themselves [layout; 0, 0]"""
HEAD_EDGE = 0.14
"""The same for those with a page number or a ruled line [layout; 0, 0]"""
NUMBER_EDGE = 0.2
"""The same for bare page numbers [layout; 0, 0]"""
APART = 1.2
"""Em; the least white between a running head and the rest, and the most between items of a list [layout; 0, 0]"""

# Lists without bullets (`listed`)
CONTENTS_LINES = 3
"""Least number of lines of a table of contents [layout; 0, 0]"""
CONTENTS_WHITE = 4.0
"""Em; the most white between them [layout; 0, 0]"""
SAME_START = 0.4
"""Em between starts that count as the same [layout; 0, 0]"""
DEEP = 1.4
"""Em; the least indent of a description [layout; 0, 1]"""
DEEPEST = 12.0
"""Em; the largest indent of a description [layout; 0, 0]"""
CLOSE_BELOW = 0.9
"""Em; the most white between a term and the description below it [layout; 2, 0]"""
ITEMS = 2
"""Least number of items of a list without bullets [layout; 20, 13]"""

# Annotations (`annotations`)
MOST_ANNOTATIONS = 1000
"""Annotations of a page that are examined [limit]"""
