"""Compiled passes for networks of one hidden layer and few inputs."""
