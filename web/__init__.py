"""The page in the browser: what it can do, apart from how it looks."""
