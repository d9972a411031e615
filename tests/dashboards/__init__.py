"""Tests of deploy/grafana."""
