"""What makes training data: pages of PDFs, marks on pictures, and what SPHINX-Nano learns from."""
