"""Landmarks on images, thumbnails and charts.

>>> import ert
>>> image = ert.load_image(ert.sample_image())
>>> faces = ert.align(image)
>>> picture = ert.plotting.draw_landmarks(image, [face.landmarks for face in faces])
>>> ert.plotting.save_image("landmarks.png", picture)

A chart is written as SVG, PNG or PDF:

>>> ert.plotting.plot_ced({"fast": [3.1, 4.2, 9.5], "accurate": [2.9, 4.0, 6.8]}).save("errors.svg")
"""

from ert.plotting.charts import Chart, plot_ced, plot_landmark_errors, plot_reliability, plot_stages
from ert.plotting.landmarks import contact_sheet, draw_landmarks, draw_poses, picture_html, save_image
from ert.plotting.overlay import show

__all__ = [
    "Chart",
    "contact_sheet",
    "draw_landmarks",
    "draw_poses",
    "picture_html",
    "plot_ced",
    "plot_landmark_errors",
    "plot_reliability",
    "plot_stages",
    "save_image",
    "show",
]
