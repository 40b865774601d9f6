"""Side by side with plain loops, with the exact recursion and with scikit-learn."""
