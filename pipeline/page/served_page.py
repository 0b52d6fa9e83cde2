"""Writes the page that `loralift serve` shows at /: one prompt, and the answers of base and adapters side by side"""

from markupsafe import Markup

from pipeline.page import assets
from pipeline.page.render import environment
from pipeline.page.svg import variables

SCRIPTS = ("dom", "diff", "events", "serve")
"""The parts of the page's one script, in order."""


def page() -> tuple[str, str]:
    """The HTML, which needs no other file, and its content security policy: our script, our style, and requests to this server."""
    script_text = assets.script(SCRIPTS)
    style = variables(":root") + assets.stylesheet(("page", "serve"))
    html: str = environment().get_template("serve.html.jinja").render(css=Markup(style), js=Markup(script_text))
    rules = (
        "default-src 'none'",
        f"script-src {assets.policy_hash(script_text)}",
        f"style-src {assets.policy_hash(style)}",
        "connect-src 'self'",
        "img-src data:",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
    return html, "; ".join(rules)
