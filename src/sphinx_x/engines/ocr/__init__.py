"""The OCR-intensive data engine: pages of PDFs become dialogue about their text, words and boxes."""
