"""Static pages with sound: no scripts, nothing from elsewhere, and right on a phone."""

import html
import pathlib
from collections.abc import Sequence

from experiments.common import files, plots

INDEX = "index.html"

_PAGE = """\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="icon" href="data:,">
<title>{title}</title>
<style>
body {{ max-width: 48rem; margin: auto; padding: 0 1rem; font: 1rem/1.5 sans-serif; color: {ink};
  overflow-wrap: anywhere }}
figure {{ margin: 0 0 1.5rem }}
audio, img {{ display: block; width: 100% }}
pre {{ overflow-x: auto; padding: .5rem; background: #f2f5f7; font-size: .8rem }}
</style>
</head>
<body>
<h1>{title}</h1>
{body}</body>
</html>
"""


def write(path: pathlib.Path, title: str, body: str) -> None:
    """Writes a page, whole or not at all.

    Args:
      path: of the file.
      title: plain text.
      body: HTML.
    """
    page = _PAGE.format(title=html.escape(title), ink=plots.INK, body=body)
    files.write_whole(path, page.encode())


def sound(caption: str, name: str, suffix: str, remarks: Sequence[str] = ()) -> str:
    """A player and a picture of a sound: `name` + `suffix` and `name` + ".png", relative.

    Args:
      caption: plain text.
      name, suffix: of the files.
      remarks: plain texts below the picture.
    """
    return (
        f"<figure>\n<figcaption>{html.escape(caption)}</figcaption>\n"
        f'<audio controls preload="metadata" src="{name}{suffix}"></audio>\n'
        f'<img loading="lazy" src="{name}.png" alt="Waveform and spectrogram">\n'
        + "".join(f"<p>{html.escape(remark)}</p>\n" for remark in remarks)
        + "</figure>\n"
    )
