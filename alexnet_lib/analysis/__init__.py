"""Looking inside: units, signals through depth, single layers and windows."""
