"""Room: receives a click log's rates and a seed, hands on worlds with known truth and A/B tests played in them."""
