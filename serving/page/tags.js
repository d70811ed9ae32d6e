// Lenses by what their engraving shows: tags suggested as they are typed, or pressed; pages of lenses.

import { counted, lensRow } from "./lenses.js";
import { got } from "./page.js";

const PAGE = 12; // lenses
const OFTEN = 18; // tags that stand as buttons
const form = document.getElementById("by-tag");
const field = form.querySelector("input");
const suggested = form.querySelector("datalist");
const often = form.querySelector(".often");
const problem = form.querySelector("[role=alert]");
const found = document.getElementById("found");
let tags = []; // known ones, the most frequent first
let searching = null; // the search under way, so that a newer one replaces it

/** What stands in the field: circle, V -> ["circle", "V"] */
function asked() {
  return field.value.split(",").map((word) => word.trim()).filter(Boolean);
}

async function search(page) {
  searching?.abort();
  const own = (searching = new AbortController());
  const words = asked();
  problem.textContent = "";
  try {
    const query = new URLSearchParams({ tags: words.join(","), page, size: PAGE });
    show(await got(`search_tags?${query}`, own.signal), words);
  } catch (fault) {
    if (own === searching) complain(fault);
  }
}

function complain(fault) {
  found.hidden = true;
  problem.textContent = fault.message;
}

function show({ lenses, total, page, pages }, words) {
  const part = (role) => found.querySelector(`[data-is="${role}"]`);
  const ofPages = pages > 1 ? `, page ${page} of ${pages}` : "";
  part("count").textContent = `${counted(total)} with ${words.join(" and ")}${ofPages}`;
  part("lenses").replaceChildren(...lenses.map(lensRow));
  part("turn").hidden = pages < 2;
  for (const button of part("turn").querySelectorAll("button")) {
    const next = page + Number(button.dataset.turn);
    button.setAttribute("aria-disabled", next < 1 || next > pages);
    button.onclick = () => next >= 1 && next <= pages && search(next);
  }
  found.hidden = false;
}

/** What is before the last comma stays, the word behind it is suggested. */
function suggest() {
  const before = asked().slice(0, field.value.trimEnd().endsWith(",") || !field.value.trim() ? undefined : -1);
  const others = tags.filter(({ tag }) => !before.includes(tag));
  suggested.replaceChildren(...others.map(({ tag, count }) => new Option(counted(count), [...before, tag].join(", "))));
  for (const button of often.children) button.setAttribute("aria-pressed", asked().includes(button.dataset.tag));
}

function toggle(tag) {
  const words = asked();
  field.value = (words.includes(tag) ? words.filter((word) => word !== tag) : [...words, tag]).join(", ");
  suggest();
  if (asked().length) search(1);
  else found.hidden = true;
}

function pressed({ tag, count }) {
  const button = document.createElement("button");
  Object.assign(button, { type: "button", textContent: tag, title: counted(count) });
  button.dataset.tag = tag;
  button.addEventListener("click", () => toggle(tag));
  return button;
}

form.addEventListener("submit", (event) => (event.preventDefault(), search(1)));
field.addEventListener("input", suggest);
try {
  ({ tags } = await got("tags"));
  often.replaceChildren(...tags.slice(0, OFTEN).map(pressed));
  suggest();
} catch (fault) {
  complain(fault);
}
