"""What makes training data: pages of PDFs, marks on images, and what SPHINX-Nano learns from."""
