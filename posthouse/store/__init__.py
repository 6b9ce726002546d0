"""RECORD: where the truth lives. `base` is the port; each other module is one adapter, opened by `registry`."""
