"""The peers are installed in an environment of their own: here, they cannot be imported to look for doctests."""

collect_ignore_glob = ["[!t]*.py"]
