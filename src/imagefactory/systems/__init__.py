"""System plugins: what an operating system is made of, one module each."""
