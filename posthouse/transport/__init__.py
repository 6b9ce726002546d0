"""OUT: how mail leaves. `base` is the port; each other module is one adapter, opened by `registry`."""
