"""The public API: the route table, one folder a group of routes (routes, endpoints, bodies, schemas), OpenAPI."""
