"""What training reads: samples, shards, lengths, packs, mixture."""
