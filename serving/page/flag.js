// Flag: what the answer should have been goes to the service with the picture; it keeps both for training.

import { got, posted } from "./page.js";

const SVG = "http://www.w3.org/2000/svg";
const LEAST = 3; // pixels on the screen: what is dragged less far is no box
const answer = document.getElementById("answer");
let flagged = null; // the answer that may be flagged

/** The part of an answer that flags it; `about` goes with the picture. */
class Flag {
  constructor({ reply, picture, name, part }) {
    Object.assign(this, { picture, name, root: part("flag") });
    this.about = { prediction_id: reply.prediction_id, digest: reply.model.digest };
    this.form = this.root.querySelector("form");
    this.status = this.root.querySelector("[role=status]");
    this.form.addEventListener("submit", (event) => (event.preventDefault(), this.send()));
    this.form.addEventListener("change", () => this.say(""));
    this.root.addEventListener("toggle", () => this.open());
  }

  say(words) {
    this.status.textContent = words;
  }

  async send() {
    this.say("");
    try {
      const fields = { ...this.about, answer: this.answered, correction: this.correction };
      const { count } = await (await posted("flag", this.picture, this.name, undefined, fields)).json();
      this.say(`Kept in ${this.root.dataset.folder} (${count.toLocaleString("en")} flagged)`);
    } catch (fault) {
      this.say(fault.message);
    }
  }
}

/** One of a list. */
class Choice extends Flag {
  constructor(detail) {
    super(detail);
    this.answered = detail.reply.prediction ?? detail.reply.matches[0].engraving;
    this.select = this.form.elements.really;
  }

  get correction() {
    return this.select.value;
  }

  async open() {
    if (!this.root.open || this.select.options.length) return;
    try {
      const { choices } = await got("flag");
      this.select.replaceChildren(new Option("Choose", ""), ...choices.map((choice) => new Option(choice)));
    } catch (fault) {
      this.say(fault.message);
    }
  }
}

/** The boxes of the page on show: ticked they count, and more can be drawn. */
class Boxes extends Flag {
  constructor(detail) {
    super(detail);
    this.form.hidden = true; // until the page is there
    this.list = this.form.querySelector("ul");
    this.form.querySelector("[data-do=add]").addEventListener("click", () => this.type());
    this.form.elements.box.addEventListener("keydown", (event) => event.key === "Enter" && (event.preventDefault(), this.type()));
  }

  /** Another page is on show: its picture, its boxes, and the drawing over it. */
  show({ page, picture, image, svg }) {
    Object.assign(this, { picture, svg, answered: JSON.stringify(page.prediction), scale: image.naturalWidth / svg.viewBox.baseVal.width });
    this.boxes = page.prediction.map((box, index) => ({ box, rect: svg.children[index], counts: true }));
    this.begun = null;
    this.form.hidden = false;
    Object.assign(svg, { onpointerdown: (event) => this.begin(event), onpointermove: (event) => this.go(event), onpointerup: () => this.end() });
    svg.onpointercancel = svg.onpointerup;
    this.say("");
    this.open();
    this.write();
  }

  open() {
    this.svg?.classList.toggle("drawing", this.root.open);
  }

  write() {
    this.list.replaceChildren(...this.boxes.map((entry, index) => this.row(entry, index)));
  }

  row(entry, index) {
    const [row, label, tick] = ["li", "label", "input"].map((name) => document.createElement(name));
    const [x, y, width, height] = entry.box.map(Math.round);
    Object.assign(tick, { type: "checkbox", checked: entry.counts });
    tick.addEventListener("change", () => entry.rect.classList.toggle("wrong", !(entry.counts = tick.checked)));
    for (const [name, on] of Object.entries({ focusin: true, focusout: false, pointerenter: true, pointerleave: false }))
      row.addEventListener(name, () => entry.rect.classList.toggle("meant", on));
    label.append(tick, ` ${index + 1}: ${width} × ${height} pixels at ${x}, ${y}`);
    row.append(label);
    return row;
  }

  get correction() {
    const counted = this.boxes.filter(({ counts }) => counts);
    return JSON.stringify(counted.map(({ box }) => box.map((value) => Number((value * this.scale).toFixed(2)))));
  }

  /** A box as it was typed: 30, 200, 120, 40 */
  type() {
    const box = this.form.elements.box.value.split(/[\s,]+/).filter(Boolean).map(Number);
    const { width, height } = this.svg.viewBox.baseVal;
    const [x, y, w, h] = box;
    if (box.length !== 4 || !(x >= 0 && y >= 0 && w >= 1 && h >= 1 && x + w <= width && y + h <= height))
      return this.say(`Four numbers are wanted, of a box within ${width} × ${height} pixels: x, y, width, height.`);
    this.add(box, this.svg.appendChild(document.createElementNS(SVG, "rect")));
    this.form.elements.box.value = "";
  }

  add(box, rect) {
    place(rect, box);
    this.boxes.push({ box, rect, counts: true });
    this.write();
    this.say(`Added as ${this.boxes.length}.`);
  }

  begin(event) {
    if (!this.root.open || event.button !== 0 || !event.isPrimary) return;
    this.svg.setPointerCapture(event.pointerId);
    this.begun = { at: this.point(event), from: [event.clientX, event.clientY], rect: this.svg.appendChild(document.createElementNS(SVG, "rect")) };
  }

  go(event) {
    if (!this.begun) return;
    const [a, b] = [this.begun.at, this.point(event)];
    const far = Math.min(Math.abs(event.clientX - this.begun.from[0]), Math.abs(event.clientY - this.begun.from[1]));
    this.begun.box = far < LEAST ? null : [Math.min(a[0], b[0]), Math.min(a[1], b[1]), Math.abs(a[0] - b[0]), Math.abs(a[1] - b[1])];
    if (this.begun.box) place(this.begun.rect, this.begun.box);
  }

  end() {
    const { box, rect } = this.begun ?? {};
    this.begun = null;
    if (box) this.add(box, rect);
    else rect?.remove();
  }

  /** Where on the page, in its pixels, and never outside of it. */
  point(event) {
    const { x, y } = new DOMPoint(event.clientX, event.clientY).matrixTransform(this.svg.getScreenCTM().inverse());
    const { width, height } = this.svg.viewBox.baseVal;
    return [Math.min(Math.max(x, 0), width), Math.min(Math.max(y, 0), height)];
  }
}

function place(rect, [x, y, width, height]) {
  for (const [name, value] of Object.entries({ x, y, width, height })) rect.setAttribute(name, value);
}

answer.addEventListener("told", ({ detail }) => {
  flagged = new (detail.part("boxes") ? Boxes : Choice)(detail);
});
answer.addEventListener("paged", ({ detail }) => flagged.show(detail)); // boxes.js shows another page
