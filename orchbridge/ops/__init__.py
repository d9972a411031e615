"""Operations: what happened as metrics, log lines, health and a status page; nobody is asked for it."""
