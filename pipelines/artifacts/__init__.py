"""DVC's cache and dvc.lock, copies of folders, retention, branches and remotes."""
