"""Guards for applications: `plimsoll.middleware.wsgi.GuardMiddleware`."""
