"""Cloud plugins: what a cloud accepts and how it is pushed there, one module each."""
