"""The instructor's program: hand out problem sets, grade what comes back, check the sets."""
