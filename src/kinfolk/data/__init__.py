"""Room 1: receives tables of users, items and events, hands on a `Log` and what may be known of it at a moment."""
