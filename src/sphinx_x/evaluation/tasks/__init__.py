"""The benchmarks: one small module each, found by itself. A module declares its tasks in `TASKS`."""
