// Lenses in a list: each opens to show what the catalogue has. Used by matches.js and tags.js.

import { got } from "./requests.js";

const KNOWN = { verre_id: "Lens", index_code: "Index code", index: "Index", maker: "Maker", material: "Material", tags: "Tags" };

const RENDER = { Index: refractive, Tags: (tags) => tags.join(", ") || "none" };

/** 1.5 -> 1.50, 1.591 as it is */
function refractive(index) {
  return index.toLocaleString("en", { minimumFractionDigits: 2 });
}

/** A lens as a line that opens. */
export function lensRow({ verre_id, name, index_code, index }) {
  const row = document.getElementById("lens-template").content.cloneNode(true).firstElementChild;
  row.querySelector(".name").textContent = name;
  row.querySelector(".index").textContent = index === null ? index_code : refractive(index);
  row.querySelector(".id").textContent = `no. ${verre_id}`;
  const details = row.querySelector("details");
  details.addEventListener("toggle", () => details.open && look(details, verre_id));
  return row;
}

/** Fetches the lens when it is first opened. */
async function look(details, verre_id) {
  const panel = details.querySelector(".lens");
  if (panel.dataset.asked) return;
  panel.dataset.asked = verre_id;
  try {
    fill(panel, await got(`verre/${verre_id}`));
  } catch (fault) {
    panel.querySelector("[role=status]").textContent = fault.message;
    delete panel.dataset.asked; // closed and opened, it is asked for again
  }
}

function fill(panel, lens) {
  panel.querySelector("[role=status]").textContent = lens.picture ? "" : lens.picture_note;
  picture(panel, lens.picture, `The engraving of ${lens.name}`);
  const known = Object.entries(KNOWN).filter(([key]) => lens[key] !== null);
  panel.querySelector("dl").replaceChildren(...known.map(([key, name]) => fact(name, lens[key])));
}

function fact(name, value) {
  const row = document.createElement("div");
  row.appendChild(document.createElement("dt")).textContent = name;
  row.appendChild(document.createElement("dd")).textContent = (RENDER[name] ?? String)(value);
  return row;
}

/** Show a picture first in a place, where there is one. */
export function picture(place, address, words) {
  place.querySelector("img")?.remove();
  if (address) place.prepend(Object.assign(new Image(), { src: address, alt: words }));
}

/** 1 lens, 2 lenses. */
export function counted(count) {
  return `${count.toLocaleString("en")} ${count === 1 ? "lens" : "lenses"}`;
}
