// The answer to a drawing: the engravings most like it as cards; a card opens the lenses that bear it.

import { counted, lensRow, picture } from "./lenses.js";

const KINDS = { class: "drawn engraving", catalogue: "picture of the catalogue", added: "added engraving" };
const sheet = document.getElementById("bearing");

function card(match) {
  const view = document.getElementById("match-template").content.cloneNode(true);
  const button = view.querySelector("button");
  button.setAttribute("aria-label", `${match.rank}: ${called(match)}, similarity ${similarity(match)}, ${counted(match.lenses_total)}`);
  button.querySelector(".rank").textContent = match.rank;
  button.querySelector(".name").textContent = called(match);
  button.querySelector(".score").textContent = similarity(match);
  button.querySelector(".count").textContent = counted(match.lenses_total);
  depict(button.querySelector(".shown"), match);
  button.addEventListener("click", () => open(match));
  return view;
}

/** The engraving's picture, where there is one; its name is beside it. */
function depict(place, match) {
  picture(place, match.picture, "");
  place.hidden = !match.picture;
}

/** gravure_0031.png -> gravure_0031 */
function called({ engraving, kind }) {
  return kind === "catalogue" ? engraving.replace(/\.\w+$/, "") : engraving;
}

/** 0.9312 -> 0.93 */
function similarity(match) {
  return match.similarity.toFixed(2);
}

/** A dialog of the browser: it takes the focus, keeps it, and gives it back to the card. */
function open(match) {
  const part = (role) => sheet.querySelector(`[data-is="${role}"]`);
  part("engraving").textContent = called(match);
  part("kind").textContent = `${KINDS[match.kind]}, similarity ${similarity(match)}`;
  part("count").textContent = bearing(match);
  depict(sheet.querySelector(".shown"), match);
  part("lenses").replaceChildren(...match.lenses.map(lensRow));
  sheet.showModal();
  sheet.querySelector(".inside").scrollTop = 0;
}

function bearing({ lenses, lenses_total: total, kind }) {
  if (!total) return kind === "added" ? "It was added by hand, and no lens of the catalogue bears it yet." : "No lens of the catalogue bears it.";
  const cut = lenses.length < total ? ` The first ${lenses.length} are shown.` : "";
  return `${counted(total)} ${total === 1 ? "bears" : "bear"} it.${cut}`;
}

sheet.addEventListener("click", ({ target }) => target === sheet && sheet.close()); // the page behind it
sheet.querySelector("[data-do=close]").addEventListener("click", () => sheet.close());

document.getElementById("answer").addEventListener("answered", ({ detail: { reply, part } }) => {
  const [best] = reply.matches;
  part("best").textContent = called(best);
  part("similarity").textContent = similarity(best);
  part("matches").replaceChildren(...reply.matches.map(card));
});
