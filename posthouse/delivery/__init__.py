"""WORK: claim, attempt, settle. The steps that decide a mail's fate are plain calls in order."""
