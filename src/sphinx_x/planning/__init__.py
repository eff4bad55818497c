"""What a run needs before it starts: operations, memory, time."""
