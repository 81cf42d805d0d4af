"""What the tests stand on: doubles, servers on loopback, a browser, made files, and where real rows lie."""
