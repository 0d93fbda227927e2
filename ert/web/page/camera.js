/** The camera: asked for when it is started, and stopped when the page is hidden. */

const WIDTH_PIXELS = 640;
const HEIGHT_PIXELS = 480;
const FRAMES_PER_SECOND = 60;

const FAULTS = {
  NotAllowedError: "The browser does not let this page use the camera. Allow it in the address bar and try again.",
  NotFoundError: "No camera was found.",
  OverconstrainedError: "No camera was found.",
  NotReadableError: "The camera cannot be read: another program may be using it.",
};

export class Camera {
  #video = document.createElement("video");
  #context = document.createElement("canvas").getContext("2d", { willReadFrequently: true, alpha: false });
  #stream = null;
  #last = -Infinity;

  /**
   * @param {(pixels: ImageData, canvas: HTMLCanvasElement, seconds: number, begin: number) => void} onFrame
   *   seconds: when the picture was taken; begin: when the work on it began, as performance.now()
   * @param {(reason: string) => void} onStop called when the camera stops by itself
   * @param {"user" | "environment"} side of a phone whose camera is preferred
   */
  constructor(onFrame, onStop, side) {
    this.side = side;
    this.onFrame = onFrame;
    this.onStop = onStop;
    this.#video.muted = true;
    this.#video.playsInline = true;
    document.addEventListener("visibilitychange", () => {
      if (document.hidden && this.running) {
        this.stop();
        onStop("The camera was stopped because the page was hidden.");
      }
    });
  }

  get running() {
    return this.#stream !== null;
  }

  /** Whether the picture is that of a camera that faces the person in front of the screen. */
  get facesUser() {
    return (this.#stream?.getVideoTracks()[0].getSettings().facingMode ?? this.side) === "user";
  }

  /**
   * Start; the browser asks for permission.
   * @throws {Error} one sentence that says why it cannot be used
   */
  async start() {
    if (!navigator.mediaDevices?.getUserMedia) {
      throw new Error("This browser gives no camera to a page that was opened from a file.");
    }
    const video = { width: { ideal: WIDTH_PIXELS }, height: { ideal: HEIGHT_PIXELS },
      frameRate: { ideal: FRAMES_PER_SECOND }, facingMode: { ideal: this.side } };
    try {
      const stream = await navigator.mediaDevices.getUserMedia({ video, audio: false });
      if (document.hidden) {
        stream.getTracks().forEach((track) => track.stop());
        throw new Error("The camera was not started because the page was hidden.");
      }
      this.#stream = stream;
      stream.getVideoTracks()[0].addEventListener("ended", () => {
        if (this.#stream === stream) {
          this.stop();
          this.onStop("The camera was stopped: it was removed, or its permission was withdrawn.");
        }
      });
      this.#video.srcObject = stream;
      await this.#video.play();
    } catch (error) {
      if (error.name === "AbortError" && !this.running) {
        throw new Error("The camera was stopped before it was ready.");
      }
      this.stop();
      throw new Error(FAULTS[error.name] ?? (error instanceof DOMException
        ? `The camera cannot be used: ${error.message || error.name}.` : error.message));
    }
    this.#next();
  }

  /** Stop, so that the camera's light goes off. */
  stop() {
    this.#stream?.getTracks().forEach((track) => track.stop());
    this.#stream = null;
    this.#video.srcObject = null;
  }

  #next() {
    if (!this.running) {
      return;
    }
    if (this.#video.requestVideoFrameCallback) {
      this.#video.requestVideoFrameCallback((now) => this.#frame(now));
    } else {
      requestAnimationFrame((now) => this.#frame(now));
    }
  }

  #frame(now) {
    const { videoWidth: width, videoHeight: height } = this.#video;
    // Two callbacks may come with one time.
    if (this.running && width && now > this.#last) {
      this.#last = now;
      const begin = performance.now();
      const { canvas } = this.#context;
      if (canvas.width !== width || canvas.height !== height) {
        Object.assign(canvas, { width, height });
      }
      this.#context.drawImage(this.#video, 0, 0);
      try {
        this.onFrame(this.#context.getImageData(0, 0, width, height), canvas, now / 1000, begin);
      } catch (error) {
        this.stop();
        this.onStop(`The camera was stopped by an error: ${error.message}.`);
      }
    }
    this.#next();
  }
}
