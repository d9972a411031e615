"""Encoders: records as messages in the formats that their readers know."""
