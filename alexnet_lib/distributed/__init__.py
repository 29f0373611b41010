"""Several processes that train together: how they start, meet, talk and end."""
