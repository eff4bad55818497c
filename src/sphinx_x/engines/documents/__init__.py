"""Documents and charts that are drawn here, so that every text, box and answer is known."""
