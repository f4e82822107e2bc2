"""What messages say, independent of the platform."""
