"""The same work written for the peers, imported only where one is asked for."""
