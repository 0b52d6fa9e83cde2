"""Serves what the arguments of `loralift serve` name, with the engine that --engine names"""

from pathlib import Path

from pipeline.commands import serve
from pipeline.commands.serve_options import VLLM, ServeOptions
from pipeline.progress import Terminal


def run(out: Terminal, arguments: list[str], options: ServeOptions, store: Path) -> None:
    """Serve until a signal comes.

    Raises:
        UserError: as serve.served_models(), server.serve() or serve_vllm.run().
    """
    from pipeline.commands import serve_vllm
    from pipeline.serving import server

    is_vllm = options.engine == VLLM
    executable = serve_vllm.check(options) if is_vllm else ""
    if not is_vllm:
        server.check_packages()
    device = serve.torch_device(options)
    with serve.served_models(arguments, options, store) as served:
        out.print(serve.summary(served), soft_wrap=True)
        if is_vllm:
            serve_vllm.run(served, executable, options, device)
        else:
            server.serve(served, options.address, options.capacity, device, serve.announce(options))
