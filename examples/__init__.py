"""Things to run and to read: a guarded API, and the sample catalogue."""
