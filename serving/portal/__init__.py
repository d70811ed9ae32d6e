"""The portal: accounts, uploads to all products and a history, in a process of its own that reaches the products over HTTP."""
