import json

import pytest
from helpers import write

from ert import InputError
from ert.datasets import load_dataset

REGION = {"shape_attributes": {"name": "point", "cx": 1, "cy": 2}, "region_attributes": {}}
VIA = {"a.png1": {"filename": "a.png", "size": 1, "regions": [REGION]}}
TASK = {"id": 1, "data": {"image": "/data/upload/1/a.png"}, "annotations": []}
SHORT_TASK = {"image": "/data/upload/1/a.png", "id": 1, "annotator": 1, "annotation_id": 1, "lead_time": 2.5}


@pytest.mark.parametrize(
    ("name", "data", "tool", "way"),
    [
        ("x.json", {"version": "5", "shapes": [], "imagePath": "a.png", "imageData": None}, "Labelme", "image,x0,y0"),
        ("x.json", VIA, "VIA, the VGG Image Annotator", "as CSV"),
        ("x.json", {"_via_settings": {}, "_via_img_metadata": VIA}, "VIA, the VGG", "as CSV"),
        ("x.json", [TASK], "Label Studio", "export as COCO"),
        ("x.json", [SHORT_TASK], "Label Studio", "export as COCO"),
        ("x.json", {"info": {}, "categories": {"label": {}}, "items": []}, "Datumaro", "COCO keypoints"),
        ("x.json", {"description": "", "size": {"height": 2}, "objects": []}, "Supervisely", "COCO keypoints"),
        ("x.json", {"version": 1.3, "people": []}, "OpenPose", "a .csv"),
        ("x.json", {"markups": []}, "3D Slicer", "a .csv"),
        ("x.xml", "<annotations><image name='a.png'/></annotations>", "CVAT", "export as COCO Keypoints 1.0"),
        ("x.xml", "<annotation><filename>a.png</filename></annotation>", "Pascal VOC", "COCO keypoints"),
        ("x.slp", "", "SLEAP", "'ert convert', which needs the package sleap-io"),
        ("x.h5", "", "HDF5", "DeepLabCut or SLEAP, export a .csv"),
        ("x.mat", "", "MATLAB", "a .csv"),
        ("a.png.cat", "2 1 2 3 4", "CAT dataset", "a .csv"),
        ("x.XLSX", "", "spreadsheet", "save it as .csv"),
        ("x.zip", "", "archive", "unpack it"),
        ("x.dat", "", "a model", "give annotated images"),
        ("x.npz", "", "NumPy", "a .csv"),
        ("x.yaml", "", "YOLO", "COCO keypoints"),
    ],
)
def test_files_of_other_tools_are_named_with_what_to_export(tmp_path, name, data, tool, way):
    path = write(tmp_path / name, data if isinstance(data, str) else json.dumps(data))
    with pytest.raises(InputError) as info:
        load_dataset(path)
    assert str(info.value).startswith(f"{path}:")
    assert "which is not read as annotations; " in str(info.value)
    assert tool in str(info.value)
    assert way in str(info.value)
    assert "\n" not in str(info.value)


def test_a_folder_of_files_of_other_tools(tmp_path):
    write(tmp_path / "a" / "b.jpg.cat", "2 1 2 3 4")
    with pytest.raises(InputError, match=r"b\.jpg\.cat: is a file of the CAT dataset"):
        load_dataset(tmp_path)
    path = write(tmp_path / "a" / "labels.csv", "image,x0,y0\n")
    with pytest.raises(InputError, match=f"or a file such as {path}"):
        load_dataset(tmp_path)
