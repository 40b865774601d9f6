"""What the tests of grading share."""

from __future__ import annotations

from grading.notebook import set_names

# A public copy of the repository has no problem sets, and then nothing to try them on.
collect_ignore = [] if set_names() else ["test_sets.py"]
