"""8. The live half: clicks come in, seeds are clustered, users are scored; knows no HTTP and no particular database."""
