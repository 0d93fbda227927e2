"""Landmarks on images, thumbnails and charts."""

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
