"""Write the tables of docs/speed.md, from benchmarks/results/.

python benchmarks/speed_page.py
"""

import common
from common import result

PAGE = common.ROOT / "docs" / "speed.md"


def milliseconds(value):
    """Return a time with two or three digits."""
    return f"{value:.3f} ms" if value < 0.1 else f"{value:.2f} ms" if value < 10 else f"{value:.0f} ms"


def source(name, measured):
    return f"`{name}.py`, {measured['date']}"


def start_rows():
    """Yield the rows about the start: what, seconds, script and date."""
    measured = result("start")
    seconds = measured["seconds"]
    for what, key, digits in (
        ("`import ert`", "import ert", 2),
        ("the first `ert demo` on a new machine", "ert demo, first ever", 1),
        ("until the kernels are compiled, in the background", "until kernels are ready", 0),
        ("a later `ert align photo.jpg`", "ert align, next", 1),
        ("`ert warmup`", "ert warmup", 0),
        ("`ert warmup --training`", "ert warmup --training", 0),
    ):
        yield f"| {what} | {seconds[key]:.{digits}f} s | {source('start', measured)} |"


def photo_rows():
    """Yield the rows about a single photo of a face: what, small and larger photos, script and date."""
    measured = result("align_many")
    steps = [measured["steps"][name]["milliseconds"] for name in ("mtfl", "helen")]
    for what, key in (
        ("read the photo", "read"),
        ("detect the faces", "detect"),
        ("locate 68 landmarks", "predict"),
        ("confidence and standard errors", "assess"),
    ):
        yield f"| {what} | {' | '.join(milliseconds(each[key]) for each in steps)} | {source('align_many', measured)} |"


def model_rows():
    """Yield the rows about models without reading and detection."""
    measured, many = result("predict_vs_dlib"), result("throughput")
    models = measured["models"]
    for what, key in (
        ("`face68`", "face68 against the public 68-point model"),
        ('`face68`, `mode="accurate"`', "face68 in accurate mode, against the same"),
        ("`face68-small`", "face68-small, against the same"),
        ("the public 68-point model of dlib, from its `.dat`", "the public 68-point model, from its .dat"),
        ("the same, converted to `.ert`", "the public 68-point model, made compact"),
    ):
        yield f"| {what} | {milliseconds(models[key]['ert']['median_ms'])} | {source('predict_vs_dlib', measured)} |"
    rates = many["throughput"]["face68, gray"]["faces_per_second"]
    for text in ("1 thread", "2 threads"):
        each = milliseconds(1000 / rates[text])
        yield (
            f"| `face68`, thousands of faces in one call, {text} | {each} ({rates[text]:,.0f} a second) | "
            f"{source('throughput', many)} |"
        )
    for what, key in (("`ert.load` of `face68`", "face68"), ("of dlib's public `.dat`", "the public model, .dat")):
        yield f"| {what} | {milliseconds(many['load_ms'][key])} | {source('throughput', many)} |"


def task_rows():
    """Yield the rows about whole tasks: what, rate, script and date."""
    align, predict, video = result("align_many"), result("predict_many"), result("video")
    rates = align["photos a second"]
    one, both = rates["one core"], rates["all cores"]
    what = "`ert align`, small photos of faces"
    yield f"| {what} | {one:.0f} photos | {both:.0f} photos | {source('align_many', align)} |"
    one, both = (predict["photos a second"][n] for n in ("1", "2"))
    megapixels = predict["megapixels"]
    yield (
        f"| `ert predict`, photos of {megapixels:.0f} megapixels, the whole photo is the box | {one:.0f} photos | "
        f"{both:.0f} photos | {source('predict_many', predict)} |"
    )
    speed = video["speed"]["shift"]
    for what, key in (("`ert.Tracker`, one face, 640 x 480", "ert.Tracker"), ("the same, `smooth=False`", None)):
        each = speed[key or "ert.Tracker, smooth=False"]["frames_per_second"]
        yield f"| {what} | {each:.0f} frames | | {source('video', video)} |"


def lines():
    """Yield the lines of the figures."""
    yield from ("| start | time | measured by |", "| --- | ---: | --- |", *start_rows(), "")
    yield from (
        "| a photo with a face, one core | photos of MTFL | photos of HELEN | measured by |",
        "| --- | ---: | ---: | --- |",
        *photo_rows(),
        "",
    )
    yield from ("| a face in a box, one thread | time | measured by |", "| --- | ---: | --- |", *model_rows(), "")
    yield from ("| a second | one core | two cores | measured by |", "| --- | ---: | ---: | --- |", *task_rows(), "")
    measured = result("predict_vs_dlib")
    yield f"{measured['cpu']}, {measured['cores']} cores, kernels for {measured['kernels'].upper()}."


def main():
    common.write_figures(PAGE, list(lines()))


if __name__ == "__main__":
    main()
