"""A PDF page -> characters, words, lines, blocks: the only reader of PDFs."""
