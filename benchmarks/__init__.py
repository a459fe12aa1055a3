"""Measures what agentinfer costs its process, beside plain HTTP clients and other agent libraries."""
