"""Child processes: started in order, watched, restarted, and never left behind."""
