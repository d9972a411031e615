"""The Grafana dashboards, as typed definitions; `python -m deploy.grafana.boards` writes them as JSON."""
