"""What the tests stand on: real servers, a proxy that counts and fails, the drift check."""
