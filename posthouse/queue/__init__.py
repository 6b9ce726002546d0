"""WAIT: how work reaches workers quickly. A hint, never the truth: a lost one costs a second, a doubled one nothing."""
