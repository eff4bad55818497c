"""Charts that matplotlib draws from tables of the user's, so that every text, box and value is known."""
