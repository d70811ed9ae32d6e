"""`make plots`: DVC's plots as a page that loads nothing from a network, dvc_plots/index.html.

DVC's own page loads Vega from a public server. This one holds it: the package vl-convert-python brings it.
"""

import sys
from importlib.metadata import version
from pathlib import Path

from pipelines import folders, processes
from pipelines.artifacts import permission

TEMPLATE = Path(".dvc/tmp/plots")  # beside DVC's other temporary files
VEGA_LITE = "5.21"  # DVC's templates are of version 5
EMBED = "window.vegaEmbed = vegaEmbed; for (const words of window.waiting) vegaEmbed(...words);"
PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
    <meta charset="utf-8">
    {refresh_tag}
    <title>Plots</title>
    <script>var waiting = []; function vegaEmbed(...words) { waiting.push(words); }</script>
    <style>body { font-family: system-ui, sans-serif; } body > div { margin: 2rem; }</style>
</head>
<body>
    {plot_divs}
    <script type="module">%s</script>
</body>
</html>
"""


def show() -> int:
    """Write the page; DVC's exit code. What is shown is in git: it needs neither data nor models."""
    permission.check()
    return processes.run_to_end([sys.executable, "-m", "dvc", "plots", "show", "--html-template", str(_template().absolute())])


def _template() -> Path:
    """The template with the libraries, made once for each version of the package."""
    import vl_convert

    path = TEMPLATE / f"{version('vl-convert-python')}.html"
    if not path.exists():
        folders.write(path, PAGE % vl_convert.javascript_bundle(EMBED, vl_version=VEGA_LITE))
    return path
