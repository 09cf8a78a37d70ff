"""Strict configuration: YAML files per environment, environment variables, logging."""
