"""Make the checks of notebooks part of every pytest run, also one on a single notebook."""

pytest_plugins = ["tests.notebooks.nbval_curves"]
