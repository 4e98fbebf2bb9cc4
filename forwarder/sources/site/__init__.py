"""Access to the products of a site: which host a token is good on, what its refusals mean. Shared by all products."""
