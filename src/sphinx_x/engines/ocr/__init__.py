"""The OCR-intensive data engine: text lines of documents and rendered lines, with their words and boxes."""
