"""The HTTP API: what users ask of the product, and the page that is served with it."""
