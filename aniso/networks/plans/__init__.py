"""Plans: workspaces and bound matrix products, made once for a network and used in every call."""
