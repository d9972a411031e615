"""The plans stream: plan jobs, their events with whole texts, and their end."""
