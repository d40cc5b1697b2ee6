"""git for agent conversations, inside your notebook."""
