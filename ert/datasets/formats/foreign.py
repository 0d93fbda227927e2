"""Files of other tools that are not read: which tool wrote a file, and what to export from it."""

from pathlib import Path
from typing import Any

_AS_CSV = "write a .csv with a row for each object: image,x0,y0,x1,y1,..."
_CONVERT = "convert it with 'ert convert', which needs the package sleap-io"

# Suffix -> (what the file is, what to do).
_BY_SUFFIX = {
    ".slp": ("a file of SLEAP labels", _CONVERT),
    ".h5": ("an HDF5 file", f"if it is of DeepLabCut or SLEAP, export a .csv; if of JABS, {_CONVERT}"),
    ".mat": ("a MATLAB file", f"if it is of LEAP, {_CONVERT}; else {_AS_CSV}"),
    ".nwb": ("an NWB file", _CONVERT),
    ".cat": ("a file of the CAT dataset", _AS_CSV),
    ".asf": ("a shape of the IMM face database or of AAM tools", _AS_CSV),
    ".pickle": ("a Python pickle", _AS_CSV),
    ".pkl": ("a Python pickle", _AS_CSV),
    ".npy": ("a NumPy array", _AS_CSV),
    ".npz": ("a file of NumPy arrays", _AS_CSV),
    ".yaml": ("a configuration, as of YOLO or DeepLabCut", "export COCO keypoints or a .csv"),
    ".yml": ("a configuration, as of YOLO or DeepLabCut", "export COCO keypoints or a .csv"),
    ".xlsx": ("a spreadsheet", "save it as .csv"),
    ".xls": ("a spreadsheet", "save it as .csv"),
    ".ods": ("a spreadsheet", "save it as .csv"),
    ".zip": ("an archive", "unpack it"),
    ".ert": ("a model", "give annotated images"),
    ".dat": ("a model", "give annotated images"),
}
# Of a root element of XML.
_BY_ROOT = {
    "annotations": ("a file of CVAT", "in CVAT, export as COCO Keypoints 1.0"),
    "annotation": ("a file like those of Pascal VOC", "it has boxes and no landmarks: export COCO keypoints"),
}
_LABELME = ("a file of Labelme", f"it exports no keypoints: {_AS_CSV}")
_VIA = ("a file of VIA, the VGG Image Annotator", f"export its annotations as CSV, and from that {_AS_CSV}")
_LABEL_STUDIO = ("a file of Label Studio", "in Label Studio, export as COCO")
_DATUMARO = ("a file of Datumaro", "export as COCO keypoints")
_SUPERVISELY = ("a file of Supervisely", "export as COCO keypoints")
_OPENPOSE = ("a result of OpenPose", _AS_CSV)
_SLICER = ("a file of 3D Slicer", _AS_CSV)


def tool_of_suffix(path: Path) -> str | None:
    """Return what a file with the suffix of another tool is and what to do, for an error message; else None."""
    return _text(_BY_SUFFIX.get(path.suffix.lower()))


def tool_of_xml(root: str) -> str | None:
    """Return the same for the root element of an XML file."""
    return _text(_BY_ROOT.get(root))


def tool_of_json(data: Any) -> str | None:
    """Return the same for the contents of a JSON file."""
    return _text(_json_tool(data))


def tool_of_table(header: list[str]) -> str | None:
    """Return the same for the header of a CSV table."""
    return _text(_VIA if "region_shape_attributes" in header else None)


def _text(tool: tuple[str, str] | None) -> str | None:
    return None if tool is None else f"is {tool[0]}, which is not read as annotations; {tool[1]}"


def _json_tool(data: Any) -> tuple[str, str] | None:
    if isinstance(data, list):
        first = data[0] if data and isinstance(data[0], dict) else {}
        # The long export has tasks with their data, the short one ("JSON-MIN") the labels beside the image.
        is_task = isinstance(first.get("data"), dict) and bool(first.keys() & {"annotations", "completions"})
        return _LABEL_STUDIO if is_task or {"annotation_id", "lead_time"} <= first.keys() else None
    if not isinstance(data, dict):
        return None
    values = [value for value in data.values() if isinstance(value, dict)]
    if "shapes" in data and data.keys() & {"imagePath", "imageData"}:
        return _LABELME
    if any(str(key).startswith("_via_") for key in data) or any({"filename", "regions"} <= v.keys() for v in values):
        return _VIA
    if "items" in data and isinstance(data.get("categories"), dict):
        return _DATUMARO
    if "objects" in data and "size" in data:
        return _SUPERVISELY
    if isinstance(data.get("people"), list):
        return _OPENPOSE
    return _SLICER if "markups" in data else None
