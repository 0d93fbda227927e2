"""
Drowsiness alarm
================

Raise an alarm when eyes stay closed, on a clip made from one photo: ``python drowsiness_alarm.py [PHOTO]``.

``ert.close_eyes`` closes the eyes of the photo. The eye aspect ratio, the height of the eyes in units of their width,
is compared with that of the same person awake, since people and cameras differ.
"""

import sys

import numpy as np
from PIL import Image

import ert
from ert.plotting.landmarks import crop_thumbnail, draw_landmarks, object_view, to_thumbnail_pixels, write_text

# At 10 frames per second: awake, a blink, awake, and asleep from the 16th frame.
CLOSED = [0] * 6 + [0.6, 1, 0.6] + [0] * 6 + [0.5] + [1] * 13
SIZE = 320

photo = ert.load_image(sys.argv[1] if len(sys.argv) > 1 else ert.sample_image())
face = ert.align(photo)[0]
view = object_view(face.landmarks, face.box)
model = ert.load("face68")
open_eyes = ert.eye_aspect_ratio(face.landmarks).mean()
counter = ert.BlinkCounter(close_below=0.75 * open_eyes, open_above=0.85 * open_eyes)
frames = []
for number, closed in enumerate(CLOSED):
    frame, _ = ert.close_eyes(photo, face.landmarks, closed)
    landmarks = model.predict([(frame, face.box)])[0]
    openness = ert.eye_aspect_ratio(landmarks).mean()
    counter.update(number / 10, openness)
    alarm = counter.closed_for >= 1
    placed = to_thumbnail_pixels(landmarks, view, SIZE)
    color = "#ff5050" if alarm else None
    drawn = Image.fromarray(draw_landmarks(crop_thumbnail(frame, view, SIZE), [placed], colors=[color], min_size=1))
    write_text(drawn, (10, 10), f"{number / 10:.1f} s   eyes {openness:.2f}", 18)
    if alarm:
        write_text(drawn, (SIZE / 2, SIZE - 12), "WAKE UP", 40, "ms", color=color)
    frames.append(drawn)
print(f"{counter.blinks} blink, eyes closed for {counter.closed_time:.1f} s, alarm: {alarm}")
# One palette for all frames, so that what does not change is stored once.
palette = Image.fromarray(np.hstack([frames[0], frames[-1]])).quantize(256)
frames = [frame.quantize(palette=palette, dither=Image.Dither.NONE) for frame in frames]
frames[0].save("drowsiness.gif", save_all=True, append_images=frames[1:], duration=100, loop=0)
