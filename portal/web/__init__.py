"""Flask without the domain: sessions per request, answers, error pages, headers, forms, filters, throttles."""
