// The answer about a page, or a document's pages: the submitted page beside the boxes that were found.

import { certainty, complain } from "./page.js";
import { posted } from "./requests.js";

const SVG = "http://www.w3.org/2000/svg";
const NUMBERS = "- - two three four five six seven eight nine ten eleven twelve".split(" ");
const answer = document.getElementById("answer");
const submitted = document.getElementById("submitted");
let shown = null; // the answer on show, so that a newer one replaces it

class Pages {
  constructor({ reply, picture, name, part }) {
    Object.assign(this, { picture, name, at: 0, document: Boolean(reply.pages), pages: reply.pages ?? [reply] });
    this.pictures = new Map(); // of pages, by their number: each a Blob and its address
    this.gone = new AbortController();
    this.found = part("found");
    this.status = part("page");
    this.buttons = [...part("turn").querySelectorAll("button")];
    this.svg = part("result").querySelector("svg");
    this.images = [new Image(), new Image()];
    submitted.querySelector(".sheet").replaceChildren(this.images[0]);
    part("result").prepend(this.images[1]);
    part("count").textContent = reply.count ? counted(reply.count) : "No signature found";
    part("where").textContent = [reply.count ? "" : missed(), this.pages.length > 1 ? `on ${this.pages.length} pages,` : ""].join(" ");
    part("turn").hidden = this.pages.length < 2;
    for (const button of this.buttons) button.addEventListener("click", () => this.turn(Number(button.dataset.turn)));
  }

  turn(step) {
    const next = this.at + step;
    if (!this.pages[next]) return;
    this.at = next;
    this.show();
  }

  async show() {
    const { at } = this;
    const page = this.pages[at];
    this.status.textContent = `Page ${page.page} of ${this.pages.length}: ${counted(page.count)}`;
    for (const button of this.buttons) button.setAttribute("aria-disabled", !this.pages[at + Number(button.dataset.turn)]);
    this.found.replaceChildren(...page.prediction.map((box, index) => row(box, page.scores[index])));
    try {
      const picture = await this.pictured(page);
      if (at === this.at && this === shown) await this.frame(page, picture);
    } catch (fault) {
      if (this === shown) complain(fault);
    }
  }

  /** The picture of a page, and its address; a page of a document is rendered by the service. */
  async pictured(page) {
    const number = page.page ?? 1;
    if (!this.pictures.has(number)) {
      const picture = this.document ? await this.drawn(number) : this.picture;
      this.pictures.set(number, { picture, address: URL.createObjectURL(picture) });
    }
    return this.pictures.get(number);
  }

  async drawn(number) {
    const response = await posted(`page?page=${number}`, this.picture, this.name, this.gone.signal);
    return response.blob();
  }

  async frame(page, { picture, address }) {
    const which = this.document ? `page ${page.page} of ${this.name}` : this.name;
    const [before, after] = this.images;
    before.alt = `As submitted: ${which}`;
    after.alt = `With ${counted(page.count)} framed: ${which}`;
    for (const image of this.images) image.src = address;
    submitted.hidden = false;
    await after.decode();
    const [width, height] = [page.width ?? after.naturalWidth, page.height ?? after.naturalHeight];
    this.svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
    this.svg.replaceChildren(...page.prediction.map(framed));
    if (this !== shown || page !== this.pages[this.at]) return;
    answer.dispatchEvent(new CustomEvent("paged", { detail: { page, picture, image: after, svg: this.svg } })); // corrections.js edits its boxes
  }

  /** Frees what another answer replaces. */
  leave() {
    this.gone.abort();
    for (const { address } of this.pictures.values()) URL.revokeObjectURL(address);
  }
}

function framed([x, y, width, height]) {
  const box = document.createElementNS(SVG, "rect");
  for (const [name, value] of Object.entries({ x, y, width, height })) box.setAttribute(name, value);
  return box;
}

function row([x, y, width, height], score) {
  const entry = document.createElement("li");
  entry.textContent = `${certainty(score)}: ${width} × ${height} pixels at ${x}, ${y}`;
  return entry;
}

/** What the model misses, by its recall of signed pages: (one signed page in ten is missed) */
function missed() {
  const every = Math.round(1 / (1 - Number(answer.dataset.recall)));
  return Number.isFinite(every) && every > 1 ? `(one signed page in ${NUMBERS[every] ?? every} is missed)` : "";
}

function counted(count) {
  return `${count} ${count === 1 ? "signature" : "signatures"}`;
}

answer.addEventListener("answered", ({ detail }) => {
  shown?.leave();
  shown = new Pages(detail);
  shown.show();
});
