"""9. HTTP: receives requests of an `Engine`'s users, hands on answers, problems with remedies, logs and metrics."""
