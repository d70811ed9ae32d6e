// Correcting the boxes of a page: unticked, moved, drawn or typed.

import { Flag } from "./correcting.js";
import { _ } from "./words.js";

const SVG = "http://www.w3.org/2000/svg";
const LEAST = 3; // pixels on the screen: a shorter drag draws no box

/** The boxes of the page on show: the ticked ones are the correction, and more can be drawn. */
export class BoxesFlag extends Flag {
  constructor(detail) {
    super(detail);
    this.form.hidden = true; // until the page is there
    this.list = this.form.querySelector("ul");
    this.form.querySelector("[data-do=add]").addEventListener("click", () => this.type());
    this.form.elements.box.addEventListener("keydown", (event) => event.key === "Enter" && (event.preventDefault(), this.type()));
  }

  /** Shows the boxes of another page, in the list and over its picture. */
  show({ page, picture, image, svg }) {
    Object.assign(this, { picture, svg, answered: JSON.stringify(page.prediction), scale: image.naturalWidth / svg.viewBox.baseVal.width });
    this.boxes = page.prediction.map((box, index) => ({ box, rect: svg.children[index], counts: true }));
    this.begun = null;
    this.form.hidden = false;
    Object.assign(svg, { onpointerdown: (event) => this.begin(event), onpointermove: (event) => this.go(event), onpointerup: () => this.end() });
    svg.onpointercancel = svg.onpointerup;
    this.report("");
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
    label.append(tick, ` ${index + 1}: `, _("%s × %s pixels at %s, %s", width, height, x, y));
    row.append(label);
    return row;
  }

  get correction() {
    const counted = this.boxes.filter(({ counts }) => counts);
    return JSON.stringify(counted.map(({ box }) => box.map((value) => Number((value * this.scale).toFixed(2)))));
  }

  /** Adds a box as it was typed: 30, 200, 120, 40 */
  type() {
    const box = this.form.elements.box.value.split(/[\s,]+/).filter(Boolean).map(Number);
    const { width, height } = this.svg.viewBox.baseVal;
    const [x, y, w, h] = box;
    if (box.length !== 4 || !(x >= 0 && y >= 0 && w >= 1 && h >= 1 && x + w <= width && y + h <= height))
      return this.report(_("Type four numbers, of a box within %s × %s pixels: x, y, width, height.", width, height));
    this.add(box, this.svg.appendChild(document.createElementNS(SVG, "rect")));
    this.form.elements.box.value = "";
  }

  add(box, rect) {
    place(rect, box);
    this.boxes.push({ box, rect, counts: true });
    this.write();
    this.report(_("Added as %s.", this.boxes.length));
  }

  begin(event) {
    if (!this.root.open || event.button !== 0 || !event.isPrimary) return;
    this.svg.setPointerCapture(event.pointerId);
    const moved = this.boxes.find(({ rect, counts }) => counts && rect === event.target);
    if (moved) return (this.begun = { moved, at: this.point(event), was: [...moved.box] });
    this.begun = { at: this.point(event), from: [event.clientX, event.clientY], rect: this.svg.appendChild(document.createElementNS(SVG, "rect")) };
  }

  go(event) {
    if (!this.begun) return;
    if (this.begun.moved) return this.move(this.begun, this.point(event));
    const [a, b] = [this.begun.at, this.point(event)];
    const far = Math.min(Math.abs(event.clientX - this.begun.from[0]), Math.abs(event.clientY - this.begun.from[1]));
    this.begun.box = far < LEAST ? null : [Math.min(a[0], b[0]), Math.min(a[1], b[1]), Math.abs(a[0] - b[0]), Math.abs(a[1] - b[1])];
    if (this.begun.box) place(this.begun.rect, this.begun.box);
  }

  /** Moves a box with the pointer, within the page. */
  move({ moved, at, was: [x, y, w, h] }, to) {
    const { width, height } = this.svg.viewBox.baseVal;
    const within = (value, most) => Math.min(Math.max(value, 0), Math.max(0, most));
    moved.box = [within(x + to[0] - at[0], width - w), within(y + to[1] - at[1], height - h), w, h];
    place(moved.rect, moved.box);
  }

  end() {
    const { box, rect, moved } = this.begun ?? {};
    this.begun = null;
    if (moved) return (this.report(""), this.write());
    if (box) this.add(box, rect);
    else rect?.remove();
  }

  /** The position on the page, in its pixels, clamped to it. */
  point(event) {
    const { x, y } = new DOMPoint(event.clientX, event.clientY).matrixTransform(this.svg.getScreenCTM().inverse());
    const { width, height } = this.svg.viewBox.baseVal;
    return [Math.min(Math.max(x, 0), width), Math.min(Math.max(y, 0), height)];
  }
}

function place(rect, [x, y, width, height]) {
  for (const [name, value] of Object.entries({ x, y, width, height })) rect.setAttribute(name, value);
}
