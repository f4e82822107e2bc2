"""A model-based test of alert identity: random histories, played into the relay and into a model of the rules."""
