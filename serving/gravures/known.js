// The engravings that the model knows, beside the question: fetched when they are first asked for.

import { picture } from "./lenses.js";
import { got } from "./requests.js";

const known = document.getElementById("known");
const list = known.querySelector("ul");
const said = known.querySelector("[role=status]");

known.addEventListener("toggle", async () => {
  if (!known.open || list.children.length) return;
  try {
    const { engravings } = await got("engravings");
    said.textContent = `${engravings.length} engravings; any other is compared with the pictures of the catalogue.`;
    list.replaceChildren(...engravings.map(shown));
  } catch (fault) {
    said.textContent = fault.message;
  }
});

function shown({ engraving, picture: address }) {
  const row = document.createElement("li");
  const place = row.appendChild(document.createElement("span"));
  place.className = "shown";
  place.hidden = !address;
  picture(place, address, "");
  row.appendChild(document.createElement("span")).textContent = engraving;
  return row;
}
