"""The app's routes, without logic."""
