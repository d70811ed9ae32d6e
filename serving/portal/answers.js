// A row with its answer: the submitted image on both sides, a document's pages one by one, and the correction on the spot.

import { BoxesFlag } from "./boxcorrections.js";
import { Choice } from "./correcting.js";
import { posted } from "./requests.js";
import { TextFlag } from "./textcorrections.js";

/** Shows the file where the row has a place for its image. */
export function alive(row, file) {
  row.dataset.address = URL.createObjectURL(file);
  illustrate(row, row.dataset.address);
}

function illustrate(part, address) {
  for (const image of part.querySelectorAll("[data-picture]")) image.src = address;
}

/** The row has its answer. */
export function settle(row, file) {
  const pages = row.querySelector("[data-pages]");
  const flag = flagOf(row, file);
  if (pages) return turned(pages, (page) => drawn(page, file, flag));
  illustrate(row, row.dataset.address);
  if (flag instanceof BoxesFlag) edit(flag, row, file);
}

function flagOf(row, file) {
  const root = row.querySelector("[data-is=flag]");
  if (!root) return null;
  const { kind, path, prediction, digest, answered } = root.dataset;
  const kinds = { choice: Choice, boxes: BoxesFlag, text: TextFlag };
  return new kinds[kind]({ root, path, answered, picture: file, name: "image", about: { prediction_id: prediction, ...(digest && { digest }) } });
}

/** Lets the boxes over an image be edited once it is there. */
async function edit(flag, part, picture) {
  const svg = part.querySelector("svg");
  const image = svg?.parentElement.querySelector("img");
  if (!image) return;
  await image.decode();
  flag.show({ page: { prediction: JSON.parse(svg.dataset.boxes) }, picture, image, svg });
}

/** A page's image, made by the product's service when the page is first shown. */
async function drawn(page, file, flag) {
  const root = flag.path.replace(/flag$/, "page");
  page.picture ??= posted(`${root}?page=${page.dataset.page}`, file, "image").then((response) => response.blob());
  const picture = await page.picture;
  page.address ??= URL.createObjectURL(picture);
  illustrate(page, page.address);
  if (!page.hidden) await edit(flag, page, picture);
}

/** Pages of which one is shown; buttons and arrow keys turn them. */
export function turned(pages, shown = () => {}) {
  const all = [...pages.querySelectorAll("[data-page]")];
  const buttons = [...pages.querySelectorAll("[data-turn]")];
  const said = pages.querySelector("[role=status]");
  let at = 0;
  const turn = (step) => {
    if (!all[at + step]) return;
    at += step;
    all.forEach((page, index) => (page.hidden = index !== at));
    said.textContent = all[at].dataset.said;
    for (const button of buttons) button.setAttribute("aria-disabled", !all[at + Number(button.dataset.turn)]);
    Promise.resolve(shown(all[at])).catch((fault) => (said.textContent = fault.message));
  };
  for (const button of buttons) button.addEventListener("click", () => turn(Number(button.dataset.turn)));
  pages.addEventListener("keydown", ({ key, target }) => {
    const step = { ArrowLeft: -1, ArrowRight: 1, PageUp: -1, PageDown: 1 }[key];
    if (step && target.tagName !== "INPUT") turn(step);
  });
  turn(0);
}

for (const pages of document.querySelectorAll("main > .panel [data-pages]")) turned(pages); // of an entry of the history
