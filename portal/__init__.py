"""The developer portal: a Flask application in slices of the domain, in one order of dependency."""
