"""A page that speaks: type a sentence in a browser, and hear it while it is made.

    python -m experiments.app --precision=int8
    python -m experiments.app --model=runs/mine --model=experiments/pretrained/tts --port=8000

Each `--model` is the folder of a run or of an exported model that speaks a text
(`experiments.speak`), or that has no condition, and goes on from a recording; by default the
trained ones of this repository. What it prints is the link of the page: whoever has it can use the
page, at 127.0.0.1 from this machine alone (docs/speaking.md). Ctrl-C ends it.
"""

import pathlib
import sys
from collections.abc import Sequence
from typing import Any

from absl import flags

from experiments.common import cli
from experiments.speaking import models, wishes

PRETRAINED = pathlib.Path(__file__).parent / "pretrained"

cli.takes(cli.TOP_P, cli.BACKEND, cli.PRECISION, *cli.SERVING)
_MODEL: flags.FlagHolder[Any] = flags.DEFINE_multi_string(
    "model",
    [str(PRETRAINED / name) for name in ("tts", "voices", "digits", "violin")],
    "Folder of a run or model, once for each that the page offers.",
)


def main(argv: Sequence[str]) -> None:
    del argv
    # Of the extra app: a sentence where it is not installed.
    from experiments.common import web
    from experiments.speaking.server import App

    offered = models.load(_MODEL.value, cli.sampling_config())
    app = App(offered)
    try:
        for model in offered.values():
            print(f"{model.name} is compiled ...", end="", file=sys.stderr, flush=True)
            model.warm()
            print(f" {model.share:.1f} s of sound a second", file=sys.stderr, flush=True)
        web.serve(
            app.starlette,
            host=cli.HOST.value,
            port=cli.PORT.value,
            public_url=cli.PUBLIC_URL.value,
            others_can="have this machine speak for them, one after the other",
            max_body_bytes=wishes.MAX_UPLOAD_BYTES,
        )
    finally:
        app.close()


if __name__ == "__main__":
    cli.run(main)
