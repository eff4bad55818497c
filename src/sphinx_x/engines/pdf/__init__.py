"""From a page of a PDF to characters, words, lines and blocks: the only reader of PDFs."""
