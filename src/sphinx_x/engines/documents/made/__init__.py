"""What made-up documents say: names, places, dates, goods and amounts. Nothing of it is anybody's."""
