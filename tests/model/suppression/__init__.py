"""Random histories of silences and acknowledgements, and the rules that what is sent must keep."""
