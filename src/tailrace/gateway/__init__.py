"""The HTTP server: takes runs, tells how they stand, and keeps the index."""
