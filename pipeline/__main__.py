"""`python -m pipeline` is `loralift`."""

from pipeline.cli import main

if __name__ == "__main__":
    main()
