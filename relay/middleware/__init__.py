"""What an application exports of itself, for the alerts to be made of; needs prometheus-client alone."""
