"""
Scripts written for dlib
========================

Three idioms of scripts for dlib, unchanged except for the import: ``python dlib_drop_in.py [PHOTO]``.
"""

import sys

import numpy as np

import ert
from ert.compat import dlib  # was: import dlib
from ert.plotting.landmarks import contact_sheet, crop_thumbnail, save_image


def shape_to_np(shape, dtype="int"):
    coords = np.zeros((shape.num_parts, 2), dtype=dtype)
    for i in range(0, shape.num_parts):
        coords[i] = (shape.part(i).x, shape.part(i).y)
    return coords


def eye_aspect_ratio(eye):
    a = np.linalg.norm(eye[1] - eye[5])
    b = np.linalg.norm(eye[2] - eye[4])
    c = np.linalg.norm(eye[0] - eye[3])
    return (a + b) / (2.0 * c)


detector = dlib.get_frontal_face_detector()
predictor = dlib.shape_predictor("face68")  # or "shape_predictor_68_face_landmarks.dat"
img = dlib.load_rgb_image(str(sys.argv[1] if len(sys.argv) > 1 else ert.sample_image()))

thumbnails = []
for rect in detector(img, 1):
    landmarks = predictor(img, rect)
    points = shape_to_np(landmarks)
    ear = (eye_aspect_ratio(points[36:42]) + eye_aspect_ratio(points[42:48])) / 2.0
    print(f"face at {rect}: eye aspect ratio {ear:.2f}, {'drowsy' if ear < 0.2 else 'awake'}")
    for n in range(0, 68):
        x, y = landmarks.part(n).x, landmarks.part(n).y
        img[max(y - 1, 0) : y + 2, max(x - 1, 0) : x + 2] = (0, 255, 0)  # cv2.circle in the original
    view = rect.left() - rect.width() // 3, rect.top() - rect.height() // 4, 5 * rect.width() // 3
    thumbnails.append(crop_thumbnail(img, view, 480))
save_image("landmarks.png", contact_sheet(thumbnails, 3, tile_size=480))
