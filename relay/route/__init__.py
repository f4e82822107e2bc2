"""② Pure: which channels get an alert, and why the others do not. Alerts and channels in, reasons out."""
