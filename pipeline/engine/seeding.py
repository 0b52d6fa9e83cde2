"""Seeds every random number generator from one seed."""


def seed_everything(seed: int) -> None:
    """Seed Python, numpy and torch on all devices, before anything random is made."""
    from accelerate.utils import set_seed

    set_seed(seed)
