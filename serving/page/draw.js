// The drawing field: strokes by mouse, finger, pen or keyboard, told as dark ink on white paper by the event `pictured`.

import { png } from "./png.js";
import { _ } from "./words.js";

const INK = 40; // pixels of the canvas: a stroke's width where no brush is to be chosen, a fourteenth of its side
const STEP = 28; // pixels an arrow key moves; a fourth of it with Shift

class Drawing {
  constructor(field) {
    this.canvas = field.querySelector("canvas");
    this.cursor = field.querySelector(".cursor");
    this.placeholder = field.querySelector(".placeholder");
    this.state = field.querySelector("[role=status]");
    this.brush = field.querySelector("[data-brush]");
    this.strokes = []; // each its width and a list of points [x, y]
    this.down = false;
    this.at = [this.canvas.width / 2, this.canvas.height / 2];
    this.listen(field);
    this.paint();
    this.brush?.addEventListener("input", () => this.show(field.querySelector(".tip span")));
    if (this.brush) this.show(field.querySelector(".tip span"));
  }

  /** Pixels of the canvas. */
  get width() {
    return Number(this.brush?.value ?? INK);
  }

  /** The brush as large as its strokes are on the paper. */
  show(tip) {
    tip.style.width = `${(this.width / this.canvas.width) * 100}cqw`;
    this.brush.setAttribute("aria-valuetext", _("%s of %s pixels", this.width, this.canvas.width));
  }

  listen(field) {
    const verbs = { ask: () => this.ask(), undo: () => this.undo(), clear: () => this.clear() };
    for (const [verb, act] of Object.entries(verbs)) field.querySelector(`[data-do=${verb}]`).addEventListener("click", act);
    this.canvas.addEventListener("pointerdown", (event) => this.begin(event));
    this.canvas.addEventListener("pointermove", (event) => this.go(event));
    for (const end of ["pointerup", "pointercancel"]) this.canvas.addEventListener(end, () => this.lift());
    this.canvas.addEventListener("keydown", (event) => this.key(event));
    this.canvas.addEventListener("focus", () => this.point(this.canvas.matches(":focus-visible")));
    this.canvas.addEventListener("blur", () => (this.lift(), this.point(false)));
  }

  begin(event) {
    if (event.button !== 0 || !event.isPrimary) return;
    this.canvas.setPointerCapture(event.pointerId);
    this.point(false);
    this.lower(this.place(event));
  }

  go(event) {
    if (!this.down || !event.isPrimary || !this.canvas.hasPointerCapture(event.pointerId)) return;
    const fine = event.getCoalescedEvents?.() ?? [];
    for (const step of fine.length ? fine : [event]) this.reach(this.place(step));
  }

  place(event) {
    const box = this.canvas.getBoundingClientRect();
    return [((event.clientX - box.left) / box.width) * this.canvas.width, ((event.clientY - box.top) / box.height) * this.canvas.height];
  }

  lower(point) {
    this.down = true;
    this.at = point;
    this.strokes.push({ width: this.width, points: [point] });
    this.paint();
  }

  reach(point) {
    this.at = point;
    if (this.down) this.strokes.at(-1).points.push(point);
    this.paint();
  }

  lift() {
    this.down = false;
  }

  key(event) {
    const ways = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
    const toggles = event.key === " " || event.key === "Enter";
    if (event.ctrlKey || event.metaKey || event.altKey || (!toggles && !ways[event.key])) return;
    event.preventDefault(); // the page would scroll
    if (!toggles) this.reach(this.moved(ways[event.key], event.shiftKey ? STEP / 4 : STEP));
    else if (this.down) this.lift();
    else this.lower(this.at);
    this.point(true);
  }

  moved([right, down], step) {
    const within = (value, side) => Math.min(Math.max(value, this.width / 2), side - this.width / 2);
    return [within(this.at[0] + right * step, this.canvas.width), within(this.at[1] + down * step, this.canvas.height)];
  }

  point(visible) {
    this.cursor.hidden = !visible;
    this.cursor.classList.toggle("down", this.down);
    this.cursor.style.left = `${(this.at[0] / this.canvas.width) * 100}%`;
    this.cursor.style.top = `${(this.at[1] / this.canvas.height) * 100}%`;
    this.state.textContent = !visible ? "" : this.down ? _("The pen is down.") : _("The pen is up.");
  }

  undo() {
    this.lift();
    this.strokes.pop();
    this.paint();
  }

  clear() {
    this.lift();
    this.strokes = [];
    this.paint();
  }

  paint() {
    const ink = this.canvas.getContext("2d");
    Object.assign(ink, { fillStyle: "#fff", strokeStyle: "#16181d", lineCap: "round", lineJoin: "round" });
    ink.fillRect(0, 0, this.canvas.width, this.canvas.height);
    for (const { width, points } of this.strokes) {
      const [first, ...rest] = points;
      ink.lineWidth = width;
      ink.beginPath();
      ink.moveTo(...first);
      for (const point of rest.length ? rest : [first]) ink.lineTo(...point);
      ink.stroke();
    }
    this.placeholder.hidden = this.strokes.length > 0;
  }

  async ask() {
    const detail = { picture: await png(this.strokes, this.canvas.width), name: "drawing.png" };
    this.canvas.dispatchEvent(new CustomEvent("pictured", { bubbles: true, detail }));
  }
}

document.querySelectorAll("[data-draw]").forEach((field) => new Drawing(field));
