// A camera: a picture is taken and asked about, or one after another is answered, the newest first, with boxes over it.

import { posted } from "./requests.js";
import { leave, touched } from "./session.js";
import { _ } from "./words.js";

const SVG = "http://www.w3.org/2000/svg";
const SIDE = 960; // pixels of a picture that is answered all the time
const QUALITY = 0.9;
const PAUSE = 100; // milliseconds between an answer and the next picture

class Camera {
  constructor(field) {
    Object.assign(this, { path: field.dataset.live, video: field.querySelector("video"), svg: field.querySelector("svg") });
    Object.assign(this, { sheet: field.querySelector(".sheet"), said: field.querySelector("[role=status]"), result: field.querySelector("[data-is=live]") });
    this.buttons = Object.fromEntries([...field.querySelectorAll("[data-do]")].map((button) => [button.dataset.do, button]));
    for (const [verb, button] of Object.entries(this.buttons)) button.addEventListener("click", () => this[verb]());
    document.addEventListener("visibilitychange", () => document.hidden && this.stop());
    field.hidden = false;
  }

  async start() {
    this.said.textContent = "";
    try {
      this.stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment" } });
    } catch {
      this.said.textContent = _("The camera cannot be used. Allow it in the browser, and use HTTPS or this machine's own address.");
      return;
    }
    this.video.srcObject = this.stream;
    await this.video.play();
    this.show(true);
  }

  show(on) {
    this.sheet.hidden = !on;
    for (const [verb, button] of Object.entries(this.buttons)) button.hidden = (verb === "start") === on;
  }

  stop() {
    this.running = false;
    this.buttons.live?.setAttribute("aria-pressed", "false");
    for (const track of this.stream?.getTracks() ?? []) track.stop();
    this.svg.replaceChildren();
    this.result.textContent = "";
    this.show(false);
  }

  async take() {
    const detail = { picture: await this.picture(Infinity), name: _("camera.jpg") };
    this.stop();
    this.sheet.dispatchEvent(new CustomEvent("pictured", { bubbles: true, detail }));
  }

  /** What the camera shows now, as JPEG, its longer side at most so many pixels. */
  picture(side) {
    const { videoWidth: width, videoHeight: height } = this.video;
    const scale = Math.min(1, side / Math.max(width, height));
    const canvas = new OffscreenCanvas(Math.round(width * scale), Math.round(height * scale));
    canvas.getContext("2d").drawImage(this.video, 0, 0, canvas.width, canvas.height);
    return canvas.convertToBlob({ type: "image/jpeg", quality: QUALITY });
  }

  /** Answers one picture after another until it is pressed again; the next is taken when the last is answered. */
  async live() {
    this.running = !this.running;
    this.buttons.live.setAttribute("aria-pressed", String(this.running));
    while (this.running) {
      await this.answer().catch((fault) => this.fail(fault));
      await new Promise((done) => setTimeout(done, PAUSE));
    }
  }

  async answer() {
    const shown = await (await posted(this.path, await this.picture(SIDE), "frame.jpg")).json();
    touched();
    if (!this.running) return;
    this.result.textContent = `${shown.headline} ${shown.share}`;
    this.svg.setAttribute("viewBox", `0 0 ${shown.width} ${shown.height}`);
    this.svg.replaceChildren(...shown.boxes.map(framed));
    this.said.textContent = "";
  }

  fail(fault) {
    if (fault.status === 401) return leave();
    this.said.textContent = fault.message;
    if (![429, 503].includes(fault.status)) this.stop();
  }
}

function framed([x, y, width, height]) {
  const box = document.createElementNS(SVG, "rect");
  for (const [name, value] of Object.entries({ x, y, width, height })) box.setAttribute(name, value);
  return box;
}

document.querySelectorAll("[data-camera]").forEach((field) => new Camera(field));
