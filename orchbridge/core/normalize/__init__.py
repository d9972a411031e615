"""PE's facts to records in the normal form (event-formats 8), redacted and cut to size on the way."""
