"""The library behind the course on AlexNet; import the modules you need from it."""
