"""A lived-in portal: organisations of different habits, ten weeks of changes, five of use.

Nothing is written into the database from here. People act through the portal's own commands, each in
its transaction; calls are decided by real gateways, which report them as gateways do. All of it runs
under a manual clock up to now, so that every notice was really kept and every refusal is really one.

    python -m examples.demo_data
"""
