"""Authentication: who must sign in, users and tokens, the guard and the routes."""
