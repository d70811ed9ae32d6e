// An answer to review: its image, one key for each verdict, and the correction, which ends the review too.

import { alive, settle } from "./answers.js";
import { touched } from "./session.js";

const row = document.getElementById("review");
const form = document.querySelector(".verdicts");
const flag = row.querySelector("[data-is=flag]");

function correct() {
  flag.open = true;
  flag.querySelector("select, input, button").focus();
}

document.addEventListener("keydown", ({ key, target, ctrlKey, metaKey, altKey }) => {
  if (ctrlKey || metaKey || altKey || target.closest("input, select, textarea, dialog")) return;
  form.querySelector(`[data-key="${CSS.escape(key)}"]`)?.click();
});
form.querySelector("[data-do=correct]").addEventListener("click", correct);
document.addEventListener("corrected", () => (touched(), form.querySelector("[data-do=corrected]").click()));

const response = await fetch(row.dataset.image);
if (response.ok) {
  const file = await response.blob();
  alive(row, file);
  settle(row, file);
}
