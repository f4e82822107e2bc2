"""People's templates, rendered in processes of their own."""
