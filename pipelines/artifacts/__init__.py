"""DVC's outputs: the cache, the lock, copies of folders, what is retained, branches and remotes."""
