"""Write prometheusrule.yaml: the rules of deploy/prometheus as the Prometheus operator takes them.

python deploy/kubernetes/monitoring/rules.py
"""

from pathlib import Path

HERE = Path(__file__).parent
RULES = HERE.parents[1] / "prometheus"
HEAD = """\
# Made of deploy/prometheus by rules.py beside this file; change the rules there.
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata:
  name: orchbridge
  labels:
    app.kubernetes.io/name: orchbridge
spec:
  groups:
"""


def manifest() -> str:
    """Return the text of prometheusrule.yaml."""
    return HEAD + "".join(_groups(RULES / name) for name in ("recording.yml", "alerts.yml"))


def _groups(file: Path) -> str:
    """Return the groups of a rule file, two columns further to the right."""
    _, _, groups = f"\n{file.read_text(encoding='utf-8')}".partition("\ngroups:\n")
    return "".join(f"  {line}" if line.strip() else line for line in groups.splitlines(keepends=True))


if __name__ == "__main__":
    (HERE / "prometheusrule.yaml").write_text(manifest(), encoding="utf-8")
