"""Room: receives a log and terms, hands on the paper's experiments as tables, plots and figures."""
