"""The snapshot of a million keys from PostgreSQL, by a sync process of its own."""

from bench import snapshot


def main() -> None:
    snapshot.main("postgresql")


if __name__ == "__main__":
    main()
