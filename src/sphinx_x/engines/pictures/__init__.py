"""Pictures with names: cut-outs in scenes with exact boxes, and photographs that a frozen classifier names."""
