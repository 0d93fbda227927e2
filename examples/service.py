"""
Landmarks over HTTP
===================

A web service: ``uvicorn service:app``, then ``curl --data-binary @photo.jpg http://localhost:8000/landmarks``.

Run as a script, it answers one request without a server, and draws the landmarks of the answer.
"""

import asyncio
import os
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route

import ert
from ert.plotting.landmarks import object_thumbnail, save_image

MAX_BYTES = 20_000_000
MODEL = ert.load("face68")
# Compile the kernels, or load them, before the first request.
MODEL.warm_up()
# One model serves all threads. Prediction runs outside the interpreter's lock, so that a thread uses a processor.
POOL = ThreadPoolExecutor(os.cpu_count())


def locate(content, box):
    """Return the answer to a request, and the status."""
    with tempfile.NamedTemporaryFile(suffix=".img") as file:
        file.write(content)
        file.flush()
        try:
            faces = ert.align(file.name, MODEL, boxes=None if box is None else [box.split(",")])
        except ert.InputError as error:
            return {"error": str(error).replace(file.name, "image")}, 400
    return {"faces": [{"box": list(face.box), "landmarks": face.landmarks.round(2).tolist()} for face in faces]}, 200


async def landmarks(request):
    """Locate landmarks in an image; ``?box=left,top,width,height`` is the box of the face, else faces are detected."""
    content = bytearray()
    async for part in request.stream():
        content += part
        if len(content) > MAX_BYTES:
            return JSONResponse({"error": f"more than {MAX_BYTES} bytes"}, 413)
    loop = asyncio.get_running_loop()
    return JSONResponse(*await loop.run_in_executor(POOL, locate, content, request.query_params.get("box")))


app = Starlette(routes=[Route("/landmarks", landmarks, methods=["POST"])])

if __name__ == "__main__":
    photo = Path(__file__).parent / "pictures/mona_lisa.jpg"
    answer, status = locate(photo.read_bytes(), None)
    face = answer["faces"][0]
    print(status, face["landmarks"][30])
    drawn = object_thumbnail(ert.load_image(photo), np.array(face["box"]), [np.array(face["landmarks"])], [None], 640)
    save_image("service.png", drawn)
