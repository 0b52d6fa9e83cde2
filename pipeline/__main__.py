"""`python -m pipeline` is `loralift`. Imports nothing at its top, so that Ctrl-C is answered while the rest is imported."""


def main() -> None:
    """The command `loralift`."""
    import os

    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # threads that spin while they wait slow down several times beside other work
    try:
        from pipeline import cli

        cli.main()
    except BaseException as error:
        if not was_interrupted(error):
            raise
        import sys

        print("\nInterrupted. Run the same command to resume.", file=sys.stderr, flush=True)
        os._exit(130)  # half-imported libraries may not survive their own clean-up


def was_interrupted(error: BaseException | None) -> bool:
    """Whether Ctrl-C is the cause, also where a library that was being imported made another error of it."""
    while error is not None:
        if isinstance(error, KeyboardInterrupt):
            return True
        if isinstance(error, SystemExit):
            return False
        error = error.__cause__ or error.__context__
    return False


if __name__ == "__main__":
    main()
