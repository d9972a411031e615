"""All dashboards, in the order a person meets them."""

from __future__ import annotations

from deploy.grafana.boards import bridge, jobs, nodes, overview
from deploy.grafana.boards.model import Board

BOARDS: tuple[Board, ...] = (overview.BOARD, jobs.BOARD, nodes.BOARD, bridge.BOARD)
