"""The tab of a picture: its depth under a slider, values at points, files, a view in space."""

from __future__ import annotations

import html
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import gradio as gr

from datasets.camera import ASSUMED_DEGREES
from web.maps import FILES
from web.mesh import viewpoint
from web.parts import Common, message, path_of, said, scale, spoken, told
from web.points import ANGLES, UNIT_WORDS
from web.refusals import Refusal
from web.words import ENGLISH, Sentence, say

NAMES = ("street", "avenue", "room", "hall", "blocks")
FOLDER = Path(__file__).parents[1] / "assets" / "examples"
EXAMPLES = [str(FOLDER / f"{name}.jpg") for name in NAMES]
EXAMPLE_NAMES = {
    f"#examples button:nth-of-type({number})": name for number, name in enumerate(NAMES, 1)
}
MARKS = Path(__file__).with_name("marks.js")
# A list of marks {x, y, words}; their numbers are drawn on the picture by the script.
LIST = "<ol>{{#each value}}<li>{{this.words}}</li>{{/each}}</ol>"
SAVE = """(file) => {
    if (!file) return;
    const link = document.createElement("a");
    link.href = file.url;
    link.download = file.orig_name;
    link.click();
}"""
# Show a mesh, as soon as its box is there: one that is earlier, Gradio may never show. The box is
# busy until the mesh has come, which is large.
PUT = """async (file) => {
    const box = () => document.querySelector("#view [data-testid=block-label]");
    for (let tries = 0; file && !box() && tries < 300; tries++)
        await new Promise((resolve) => setTimeout(resolve, 100));
    if (!file || !box()) return { __type__: "update" };
    const view = document.querySelector("#view");
    view.setAttribute("aria-busy", true);
    if (!view.querySelector("canvas")) view.scrollIntoView({ block: "nearest" });
    new PerformanceObserver((came, observer) => {
        if (!came.getEntries().some(({ name }) => name.endsWith(".glb"))) return;
        view.removeAttribute("aria-busy");
        observer.disconnect();
    }).observe({ type: "resource" });
    return file;
}"""


def picture_tab(common: Common, running: int) -> None:  # noqa: PLR0915
    """A picture and all that is made of it.

    Args:
        common: to all tabs.
        running: pictures predicted at once.
    """
    jobs, word, language = common.jobs, common.word, common.language
    nothing = (None, "", "", None, "")
    token = gr.Textbox(visible=False)
    description = gr.JSON(visible=False)
    made, mesh = gr.File(visible=False), gr.File(visible=False)
    with gr.Row(elem_id="work"):
        with gr.Column(scale=1, min_width=270, elem_id="given"):
            sources = ["upload", "clipboard", "webcam"]
            picture = word(gr.Image, "picture", type="filepath", sources=sources, height=200)
            wrong = message("picture_wrong")
            examples = word(
                gr.Dataset,
                "examples",
                components=[picture],
                samples=[[path] for path in EXAMPLES],
                type="index",
            )
            model, colormap = common.choices("picture")
            low, high = ANGLES
            angle = word(
                gr.Slider,
                "angle",
                minimum=low,
                maximum=high,
                value=ASSUMED_DEGREES,
                step=1,
                visible=False,
            )
        with gr.Column(scale=4, min_width=320, visible=False, elem_id="result") as result:
            slider = word(
                gr.ImageSlider,
                "slider",
                type="filepath",
                interactive=False,
                show_label=False,
                buttons=["fullscreen"],
            )
            padded = common.shape("picture", visible=False)
            legend = gr.HTML(elem_id="legend")
            word(gr.Markdown, "hint", "value")
            with gr.Row(elem_id="points"):
                marks = gr.HTML(
                    [],
                    html_template=LIST,
                    js_on_load=MARKS.read_text(encoding="utf-8"),
                    elem_id="marks",
                )
                clear = word(gr.Button, "clear", "value", interactive=False, size="sm", scale=0)
            failed = message("result_wrong")
            with gr.Row(elem_id="files"):
                saves = {kind: gr.Button(size="sm", elem_id=f"save_{kind}") for kind in FILES}
                turn = word(gr.Button, "view_button", "value", size="sm", variant="primary")
            view = word(gr.Model3D, "view", interactive=False, visible=False, height=420)
            with word(gr.Accordion, "details", open=False):
                details = gr.HTML()

    def shape(about: Mapping[str, Any], language: object) -> Any:
        """The choice to pad a picture, which is asked for where it would be squeezed."""
        how = common.shape_of(about["model"], language)
        return gr.update(**{**how, "visible": about["squeezed"]})

    def give_example(number: object) -> str | None:
        is_one = type(number) is int and 0 <= number < len(EXAMPLES)
        return EXAMPLES[number] if is_one else None

    def predicted(
        image: Any, model: str, colormap: str, language: str, keep_aspect: bool
    ) -> tuple[Any, ...]:
        if not image:
            return nothing
        shown = jobs.picture(path_of(image), model, colormap, language, keep_aspect)
        about, pair = shown.description, (str(shown.picture), str(shown.depth))
        bar = scale(about["colormap"], about["far"], about["near"])
        return pair, bar, _details(about), about, about["token"]

    def predict(
        image: dict[str, Any] | None,
        model: str,
        colormap: str,
        language: str,
        keep_aspect: bool,
    ) -> tuple[Any, ...]:
        """Depth of a picture: [picture, depth in colours], scale, details, the same, its token."""
        return told(predicted)(image, model, colormap, language, keep_aspect)

    def show(image: Any, model: str, colormap: str, language: str, keep_aspect: bool) -> list[Any]:
        hidden = gr.update(visible=False)
        try:
            values, error = predicted(image, model, colormap, language, keep_aspect), None
        except Refusal as refusal:
            values, error = nothing, refusal.sentence
        about = values[3]
        name = about["name"] if about else "picture"
        updates = {
            result: gr.update(visible=about is not None),
            wrong: said(error),
            failed: said(None),
            marks: [],
            clear: gr.update(interactive=False),
            view: gr.update(value=None, visible=False),
            mesh: None,
            angle: _angle(about, language) if about else hidden,
            padded: shape(about, language) if about else hidden,
            **{save: gr.update(value=FILES[kind].format(name)) for kind, save in saves.items()},
        }
        return [*values, *(updates[each] for each in after)]

    def look(token: str, points: list[Any], degrees: Any, language: str) -> list[Any]:
        """Marks at points, what is wrong with them, and what follows from their number."""
        try:
            found = jobs.marks(token, points, degrees, language)
            metric = jobs.described(token, language)["near"] is not None
        except Refusal as error:
            return [gr.skip(), said(error.sentence), gr.skip(), gr.skip()]
        new = [{"x": x, "y": y, "words": words} for x, y, words in found]
        asked = gr.update(visible=True) if metric and len(new) > 1 else gr.skip()
        return [new, said(None), gr.update(interactive=bool(new)), asked]

    def mark(
        token: str, before: Any, degrees: Any, language: str, event: gr.SelectData
    ) -> list[Any]:
        return look(token, [*_points(before), event.index], degrees, language)

    def mark_again(token: str, before: Any, degrees: Any, language: str) -> list[Any]:
        points = _points(before)
        return look(token, points, degrees, language) if points else [gr.skip()] * 4

    def save(
        kind: str, token: str, degrees: Any, colormap: str, language: str
    ) -> tuple[str | None, Any]:
        try:
            return str(jobs.file(token, kind, degrees, colormap, language)), said(None)
        except Refusal as error:
            return None, said(error.sentence)

    def turn_around(token: str, degrees: Any, colormap: str, language: str) -> tuple[Any, ...]:
        path, error = save("mesh", token, degrees, colormap, language)
        if path is None:
            return None, gr.update(visible=False), error, gr.skip()
        box = gr.update(visible=True, camera_position=viewpoint(Path(path)))
        return path, box, error, gr.update(visible=True)

    def turn_again(shown: Any, *given: Any) -> tuple[Any, ...]:
        return turn_around(*given) if shown else tuple(gr.skip() for _ in turned)

    def tell_picture(token: str, language: str) -> tuple[Any, Any]:
        """What the choices of a prediction say, in another language."""
        try:
            about = jobs.described(token, language) if token else None
        except Refusal:  # nothing of it is kept: what is there stays as it is
            about = None
        if about is None:
            return gr.skip(), gr.skip()
        return gr.update(info=_angle_info(about, language)), shape(about, language)

    def tell(token: str, points: Any, degrees: Any, language: str) -> tuple[Any, ...]:
        """What the choices and the points of a prediction say, in another language."""
        again = mark_again(token, points, degrees, language)
        return (again[0], *tell_picture(token, language))

    def point_of(token: str, x: int, y: int, language: str = ENGLISH) -> str:
        """Depth at a point of an earlier prediction, by its token."""
        return told(jobs.point)(token, x, y, None, 0.0, language)

    def make_files(
        key: str, degrees: float, colormap: str, language: str
    ) -> tuple[str | None, list[str]]:
        """Mesh and files of an earlier prediction, by its token."""
        glb, paths = told(jobs.files)(key, degrees, colormap, language)
        return glb and str(glb), [str(path) for path in paths]

    # Jobs check everything that comes, and say what is wrong in our own words.
    plain = {"preprocess": False}
    own = {**plain, "api_visibility": "private"}
    choices = [model, colormap, language, padded]
    output = [slider, legend, details, description, token]
    after = [result, wrong, failed, marks, clear, view, mesh, angle, padded, *saves.values()]
    shown = gr.on(
        [picture.change, model.change, colormap.change, padded.input],
        show,
        [picture, *choices],
        [*output, *after],
        concurrency_limit=running,
        concurrency_id="pictures",
        trigger_mode="always_last",
        show_progress_on=[picture, slider],
        **own,
    )
    # Not gr.Examples, whose calls go past the queue.
    examples.click(give_example, examples, picture, show_progress="hidden", **own)
    marked, seen = [marks, failed, clear, angle], [token, marks, angle, language]
    quiet = {**own, "show_progress": "hidden"}
    marks.select(mark, seen, marked, **quiet)
    clear.click(lambda: ([], gr.update(interactive=False)), None, [marks, clear], **quiet)
    asked = [token, angle, colormap, language]
    for kind, button in saves.items():

        def save_kind(*given: Any, kind: str = kind) -> tuple[str | None, Any]:
            return save(kind, *given)

        saved = button.click(
            save_kind,
            asked,
            [made, failed],
            concurrency_limit=running,
            concurrency_id="files",
            **own,
        )
        saved.success(None, made, None, js=SAVE, api_visibility="private")
    alone = {"concurrency_limit": running, "concurrency_id": "files", **own}
    turned = [mesh, view, failed, angle]
    made_of = turn.click(turn_around, asked, turned, show_progress_on=turn, **alone)
    put = {"js": PUT, "api_visibility": "private", "show_progress": "hidden"}
    made_of.success(None, mesh, view, **put)
    angle.release(mark_again, seen, marked, **quiet)
    turned_again = angle.release(turn_again, [view, *asked], turned, **alone)
    turned_again.success(None, mesh, view, **put)

    # What programs call: errors are errors.
    unseen, all_files = gr.Button(visible=False), gr.File(visible=False, file_count="multiple")
    unseen.click(
        predict,
        [picture, *choices],
        output,
        api_name="predict",
        concurrency_limit=running,
        concurrency_id="pictures",
        **plain,
    )
    unseen.click(
        make_files,
        asked,
        [view, all_files],
        api_name="files",
        concurrency_limit=running,
        concurrency_id="files",
        **plain,
    )
    gr.api(point_of, api_name="point")
    told_of_picture = [angle, padded]
    # The language may have changed meanwhile. Points may be marked already: they are left alone.
    shown.then(tell_picture, [token, language], told_of_picture, **quiet)
    common.retold.append((tell, seen, [marks, *told_of_picture]))


def _points(marks: object) -> list[object]:
    """The points (x, y) of marks as the page shows them, whatever was sent for them."""
    listed = marks if isinstance(marks, list) else []
    return [(each.get("x"), each.get("y")) for each in listed if isinstance(each, dict)]


def _angle_info(about: Mapping[str, Any], language: object) -> str:
    return say(language, "angle_assumed" if about["angle"] is None else "angle_seen")


def _angle(about: Mapping[str, Any], language: object) -> Any:
    """The angle of view of a new picture, which is asked for when something depends on it."""
    value = ASSUMED_DEGREES if about["angle"] is None else about["angle"]
    return gr.update(value=value, info=_angle_info(about, language), visible=False)


def _details(about: Mapping[str, Any]) -> str:
    """What there is to know of a prediction, as an HTML table."""
    rows = {
        "detail_model": html.escape(about["model"]),
        "detail_engine": html.escape(about["engine"]),
        "detail_size": html.escape(f"{about['name']}, {about['width']} x {about['height']}"),
        "detail_unit": spoken(Sentence(UNIT_WORDS[about["unit"]])),
        "detail_time": spoken(Sentence("detail_seconds", {"seconds": f"{about['seconds']:.2f}"})),
    }
    cells = "".join(
        f"<tr><th scope='row'>{spoken(Sentence(key))}</th><td>{value}</td></tr>"
        for key, value in rows.items()
    )
    return f"<table>{cells}</table>"
