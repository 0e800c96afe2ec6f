"""The resilient event stream: events that are on disk before and after what they tell of."""
