"""Agents of every framework, behind one interface."""
