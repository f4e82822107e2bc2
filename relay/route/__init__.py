"""② Pure: which channel is told of an alert, and why not the others? Alerts and channels in, reasons out."""
