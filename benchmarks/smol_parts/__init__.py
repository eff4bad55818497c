"""What `benchmarks/smol.py` is made of: what is asked, peers, text alone, time and memory, the table."""
