// Lenses by what their engraving shows: tags suggested as they are typed, or pressed; pages of lenses.

import { counted, lensRow } from "./lenses.js";
import { got } from "./requests.js";

const PAGE = 12; // lenses
const OFTEN = 18; // tags shown as buttons
const form = document.getElementById("by-tag");
const field = form.querySelector("input");
const suggested = form.querySelector("datalist");
const often = form.querySelector(".often");
const problem = form.querySelector("[role=alert]");
const found = document.getElementById("found");
let tags = []; // known ones, the most frequent first
let searching = null; // the search under way, so that a newer one replaces it

/** The words in the field: circle, V -> ["circle", "V"] */
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

function show({ items, total, page, pages, unknown }, words) {
  const part = (role) => found.querySelector(`[data-is="${role}"]`);
  const ofPages = pages > 1 ? `, page ${page} of ${pages}` : "";
  const [strange] = Object.keys(unknown);
  part("count").textContent = strange ? unknownTag(strange, unknown) : `${counted(total)} with ${words.join(" and ")}${ofPages}`;
  part("instead").replaceChildren(...(unknown[strange] ?? []).map((tag) => pressed({ tag }, () => instead(strange, tag))));
  part("lenses").replaceChildren(...items.map(lensRow));
  part("turn").hidden = pages < 2;
  for (const button of part("turn").querySelectorAll("button")) {
    const next = page + Number(button.dataset.turn);
    button.setAttribute("aria-disabled", next < 1 || next > pages);
    button.onclick = () => next >= 1 && next <= pages && search(next);
  }
  found.hidden = false;
}

function unknownTag(strange, unknown) {
  return `No engraving shows \u201c${strange}\u201d. ${unknown[strange].length ? "Most like it:" : "Nothing is like it."}`;
}

/** Ask again, with a known tag in place of a strange one. */
function instead(strange, tag) {
  field.value = field.value.replace(strange, tag);
  suggest();
  search(1);
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

function pressed({ tag }, act) {
  const button = document.createElement("button");
  Object.assign(button, { type: "button", textContent: tag });
  button.dataset.tag = tag;
  button.addEventListener("click", act);
  return button;
}

form.addEventListener("submit", (event) => (event.preventDefault(), search(1)));
field.addEventListener("input", suggest);
try {
  ({ tags } = await got("tags"));
  often.replaceChildren(...tags.slice(0, OFTEN).map((known) => pressed(known, () => toggle(known.tag))));
  suggest();
} catch (fault) {
  complain(fault);
}
