"""Side by side with a plain loop, with the exact recursion and with scikit-learn."""
