"""The page that reads images, in Gradio. Importing this takes seconds and a hundred megabytes, so desk.py does it on demand.

No event waits in Gradio's own queue, which lives in one process: each is one request, which any worker may answer. Jobs wait in the
service's queue; a timer follows them. No component is derived from Gradio's: it writes a .pyi file next to the source of each such class.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import gradio as gr
from fastapi import FastAPI
from gradio.components.annotated_image import AnnotatedImageData, Annotation
from gradio.data_classes import FileData
from gradio.processing_utils import save_pil_to_cache
from PIL import Image, ImageDraw
from starlette.routing import Mount
from starlette.types import ASGIApp

from serving.inputs import senders
from serving.ocr.backend import Backend, Step
from serving.ocr.corrections import GONE
from serving.pages import routes as page_routes
from serving.problems import Refusal

STYLE = Path(__file__).with_name("desk.css")
RED = "#c81e14"
PALETTE = (255, 255, 255, 200, 30, 20, 200, 30, 20)  # nothing, what is inside of a frame, the frame
OPAQUE = bytes((0, 28, 255))  # the same
FRAMES = 400  # of them fit side by side on a page: how wide one is
TICK = 0.5  # seconds between two polls of a job
LISTED = 24  # characters of a line below the page
EVENT: dict[str, Any] = {"queue": False, "api_visibility": "private", "preprocess": False, "postprocess": False}
UNUSED: dict[str, Any] = dict.fromkeys(("run_history", "ssr_mode", "mcp_server", "enable_monitoring", "pwa", "show_error"), False)
CAMERA = {"video": {"facingMode": {"ideal": "environment"}, "width": {"ideal": 1920}, "height": {"ideal": 1080}}}  # a phone's at its back
SYSTEM = ("system-ui", "-apple-system", "Segoe UI", "Roboto", "Helvetica Neue", "Arial", "sans-serif")
MONO = ("ui-monospace", "SF Mono", "Cascadia Mono", "Liberation Mono", "monospace")


def application(backend: Backend, samples: Sequence[str], path: str, limit_mb: float, root: str = "") -> ASGIApp:
    """Gradio's application for a mount at `path` below `root`, with our theme, and without its API and extras."""
    blocks, holder = page(backend, samples), FastAPI()
    look: dict[str, Any] = {"theme": theme(), "css_paths": [STYLE], "footer_links": []}
    gr.mount_gradio_app(holder, blocks, path, root_path=root + path, max_file_size=int(limit_mb * 1e6), **look, **UNUSED)
    blocks.is_running = blocks.has_launched = True  # else it serves every file of the machine
    for component in blocks.config["components"]:
        component.pop("example_inputs", None)  # an image at another address
    return next(route.app for route in holder.routes if isinstance(route, Mount))


def theme() -> gr.themes.Base:
    """The colours of serving/page/style.css, light and dark, and system fonts."""
    hue = gr.themes.Color(
        "#f5f6fd", "#eceefa", "#d6dbf5", "#b3bcec", "#8794df", "#5468cb", "#2f46b8", "#283b9c", "#20307d", "#1a2866", "#14182e"
    )
    look = gr.themes.Base(
        primary_hue=hue, neutral_hue=gr.themes.colors.zinc, font=SYSTEM, font_mono=MONO, radius_size=gr.themes.sizes.radius_lg
    )
    return look.set(
        body_background_fill="#fff",
        body_background_fill_dark="#1b1d21",
        block_background_fill_dark="#1b1d21",
        block_border_color_dark="#2e3137",
        button_primary_background_fill="#2f46b8",
        button_primary_background_fill_hover="#3d55cb",
        button_primary_background_fill_dark="#a4b2ff",
        button_primary_background_fill_hover_dark="#b6c1ff",
        button_primary_text_color_dark="#14182e",
        input_background_fill="#fff",
        input_background_fill_dark="#131417",
    )


def page(backend: Backend, samples: Sequence[str]) -> gr.Blocks:
    """The page, with its events."""
    events = Events(backend)
    with gr.Blocks(title="ocr", analytics_enabled=False, fill_width=True) as blocks:
        with gr.Row(equal_height=False):
            with gr.Column():
                picture, read, cancel = _input(samples)
            with gr.Column():
                status, text, boxes, origin, flag, flagged = _output()
        job, seen, answer = (gr.Textbox(visible="hidden", elem_id=name) for name in ("job", "seen", "answer"))
        timer = gr.Timer(TICK, active=False)
        shown = [status, text, boxes, origin, job, seen, answer, timer, read, cancel, flag, flagged]
        read.click(events.read, [picture], shown, show_progress="minimal", show_progress_on=status, **EVENT)
        timer.tick(events.status, [job, seen, picture], shown, show_progress="hidden", **EVENT)
        cancel.click(events.cancel, [job, seen, picture], shown, show_progress="hidden", **EVENT)
        picture.change(events.clear, [job], shown, show_progress="hidden", **EVENT)
        flag.click(events.flag, [picture, seen, answer, text], [flagged], show_progress="hidden", **EVENT)
    return blocks


def _input(samples: Sequence[str]) -> tuple[gr.Image, gr.Button, gr.Button]:
    """The image, and the buttons that read and cancel."""
    named: dict[str, Any] = {"label": "Image of a line or a page", "alt_text": "The image to be read", "elem_id": "picture"}
    camera = gr.WebcamOptions(mirror=False, constraints=CAMERA)
    picture = gr.Image(
        webcam_options=camera, sources=["upload", "webcam", "clipboard"], type="filepath", image_mode=None, height=340, buttons=[], **named
    )
    read = gr.Button("Read", variant="primary", elem_id="read")
    cancel = gr.Button("Cancel", visible=False, elem_id="cancel")
    gr.Examples([*samples], picture, label="Or one of these", api_visibility="private", elem_id="samples")
    return picture, read, cancel


def _output() -> tuple[gr.Markdown, gr.Textbox, gr.AnnotatedImage, gr.Markdown, gr.Button, gr.Markdown]:
    """Status, text, boxes and origin of an answer, the button that flags it, and what came of that."""
    status = gr.Markdown(_status(**Step()._asdict()), elem_id="status")
    boxes = gr.AnnotatedImage(label="Lines found", show_label=False, buttons=["fullscreen"], elem_id="boxes", visible=False)
    text = gr.Textbox(label="Text", info="Correct what is wrong, then flag it.", lines=3, max_lines=20, elem_id="text", interactive=True)
    flag = gr.Button("Flag as corrected", interactive=False, elem_id="flag")
    flagged = gr.Markdown(elem_id="flagged")
    with gr.Accordion("Where it comes from", open=False, elem_id="source"):
        origin = gr.Markdown(_origin(Step()), elem_id="origin")
    return status, text, boxes, origin, flag, flagged


class Events:
    """The page's events; an image is {"path": its file} in Gradio's folder, or None."""

    def __init__(self, backend: Backend) -> None:
        self.backend = backend

    async def read(self, picture: dict[str, Any] | None, request: gr.Request) -> list[Any]:
        """Read the image, or add a job that does."""
        if picture is None:
            return _shown(Step(problem="There is no image yet. Upload one, take one, paste one, or choose one below."))
        sender = senders.of(request.request.scope) if request.request else None
        return _shown(await self.backend.read(Path(picture["path"]), _user(request), sender))

    async def status(self, job: str, seen: str, picture: dict[str, Any] | None, request: gr.Request) -> list[Any]:
        """Show the progress of the job."""
        if picture is None:
            return _shown(Step(problem=GONE))
        return _shown(await self.backend.status(job, Path(picture["path"]), seen, _user(request)))

    async def cancel(self, job: str, seen: str, picture: dict[str, Any] | None, request: gr.Request) -> list[Any]:
        """Cancel the job."""
        if picture is None:
            return _shown(Step(problem=GONE))
        return _shown(await self.backend.cancel(job, Path(picture["path"]), seen, _user(request)))

    async def clear(self, job: str, request: gr.Request) -> list[Any]:
        """Another image, or none: forget the answer to the one before."""
        if job:
            await self.backend.drop(job, _user(request))
        return _shown(Step())

    async def flag(self, picture: dict[str, Any] | None, seen: str, answer: str, text: str, request: gr.Request) -> str:
        """Store the image with the corrected text."""
        if picture is None or not (seen and answer):
            return _status(problem="The image is gone. Upload it again, and read it.")
        try:
            return _status(stored=await self.backend.flag(Path(picture["path"]), seen, answer, text, _user(request)))
        except Refusal as refusal:
            return _status(problem=refusal.detail)


def _user(request: gr.Request) -> str | None:
    """The user whom the guard has found; None where sign-in is off."""
    return getattr(request.request.state, "user", None) if request.request else None


def _shown(step: Step) -> list[Any]:
    """Values of status, text, boxes, origin, job, seen, answer, timer, read, cancel, flag, flagged."""
    answer, busy = step.answer, bool(step.job)
    text, as_json = (answer["text"], json.dumps(answer)) if answer else ("", "")
    buttons = [gr.update(interactive=not busy), gr.update(visible=busy), gr.update(interactive=answer is not None)]
    values = [_status(**step._asdict()), text, _boxes(step), _origin(step), step.job, step.seen, as_json]
    return [*values, gr.update(active=busy), *buttons, ""]


def _boxes(step: Step) -> Any:
    """The page with a frame around each line that was read."""
    lines = [line for line in step.answer["lines"] if line.get("page", 1) == 1] if step.answer else []
    if step.page is None or not lines:
        return gr.update(value=None, visible=False)
    labels = [f"{number}. {line['text'][:LISTED]}" for number, line in enumerate(lines, 1)]
    frames = [frame(step.page.size, [side * step.scale for side in line["box"]]) for line in lines]
    annotations = [Annotation(image=_file(picture), label=label) for picture, label in zip(frames, labels, strict=True)]
    value = AnnotatedImageData(image=_file(step.page), annotations=annotations).model_dump()
    return gr.update(value=value, color_map=dict.fromkeys(labels, RED), visible=True)


def frame(size: tuple[int, int], box: Sequence[float]) -> Image.Image:
    """A transparent image with one frame: Gradio's own take 50 ms each."""
    picture = Image.new("P", size)
    picture.putpalette(PALETTE)
    picture.info["transparency"] = OPAQUE
    x, y, width, height = map(round, box)
    corners = (x, y, x + max(width, 1), y + max(height, 1))
    ImageDraw.Draw(picture).rectangle(corners, fill=1, outline=2, width=max(2, size[0] // FRAMES))
    return picture


def _file(picture: Image.Image) -> FileData:
    return FileData(path=save_pil_to_cache(picture, gr.utils.get_upload_folder(), format="png"))


def _origin(step: Step) -> str:
    return page_routes.environment().get_template("ocr/origin.html").render(step._asdict())


def _status(**facts: Any) -> str:
    return page_routes.environment().get_template("ocr/status.html").render(facts)
