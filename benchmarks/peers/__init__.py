"""The same network behind other servers, as somebody at home with each of them would write it."""
