"""Measurements: `make bench`. They report, and fail only where records are missing."""
