"""The command line, the environment's maker, the doctor and the server's part."""
