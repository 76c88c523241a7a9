"""Users over time: requests that come and go, a server that takes them, and what each of them waits for."""
