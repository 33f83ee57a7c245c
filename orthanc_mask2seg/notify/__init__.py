"""Tells people and programs what happened: webhooks and e-mail."""
