"""
Drowsiness alarm
================

Raise an alarm when eyes stay closed, on a clip made from one photo: ``python drowsiness_alarm.py [PHOTO]``.
"""

import sys

import ert
from ert.plotting.landmarks import contact_sheet, draw_landmarks, save_image


def close_eyes(image, landmarks, closed):
    """Close the eyes by warping the upper lids: closed is 0 for unchanged eyes, 1 for closed ones."""
    moved = landmarks.copy()
    for upper, lower in ((37, 41), (38, 40), (43, 47), (44, 46)):
        moved[upper] += closed * (landmarks[lower] - landmarks[upper])
    return ert.warp(image, landmarks, moved)


# At 10 frames per second: awake, a blink, awake, and asleep from the 16th frame.
CLOSED = [0] * 6 + [0.6, 1, 0.6] + [0] * 6 + [0.5] + [1] * 13

photo = ert.load_image(sys.argv[1] if len(sys.argv) > 1 else ert.sample_image())
face = ert.align(photo)[0]
model = ert.load("face68")
# Thresholds measured on this person, since people and cameras differ.
open_eyes = ert.eye_aspect_ratio(face.landmarks).mean()
counter = ert.BlinkCounter(close_below=0.75 * open_eyes, open_above=0.85 * open_eyes)
thumbnails, captions = [], []
for number, closed in enumerate(CLOSED):
    frame = close_eyes(photo, face.landmarks, closed)
    landmarks = model.predict([(frame, face.box)])[0]
    openness = ert.eye_aspect_ratio(landmarks).mean()
    counter.update(number / 10, openness)
    alarm = counter.closed_for >= 1
    if alarm or number % 3 == 1:
        drawn = draw_landmarks(frame, [landmarks], colors=["#ff5050" if alarm else None])
        cut = ert.chip(drawn, landmarks * len(drawn) / len(frame), 256)
        thumbnails.append(cut.image)
        captions.append(f"{number / 10:.1f} s  {openness:.2f}  {'WAKE UP' if alarm else ''}")
print(f"{counter.blinks} blink, eyes closed for {counter.closed_time:.1f} s, alarm: {alarm}")
save_image("drowsiness.png", contact_sheet(thumbnails, 4, captions))
