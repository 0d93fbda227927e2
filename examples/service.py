"""
Landmarks over HTTP
===================

A web service: ``uvicorn service:app``, then ``curl --data-binary @photo.jpg http://localhost:8000/landmarks``.
"""

import asyncio
import os
import tempfile
from concurrent.futures import ThreadPoolExecutor

from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route

import ert

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
    answer, status = locate(ert.sample_image().read_bytes(), None)
    print(status, answer["faces"][0]["landmarks"][30])
