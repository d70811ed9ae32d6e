// Several images to one product: each a row, with its image at once and its answer when it comes.

import { receive } from "./drop.js";
import { leave, touched } from "./session.js";
import { _ } from "./words.js";

const AT_ONCE = 2; // requests under way
const rows = document.getElementById("rows");
const template = document.getElementById("row-template");
const waiting = [];
let under_way = 0;

function take(files) {
  if (!files.length) return;
  document.getElementById("ask").hidden = true;
  document.getElementById("again").hidden = false;
  for (const file of files) waiting.push([file, begin(file)]);
  next();
}

function begin(file) {
  const row = template.content.firstElementChild.cloneNode(true);
  row.querySelector("[data-is=title]").textContent = titled(file);
  illustrate(row, URL.createObjectURL(file));
  rows.append(row);
  return row;
}

function titled(file) {
  return file.name || _("pasted image");
}

function illustrate(row, address) {
  row.dataset.address = address;
  for (const image of row.querySelectorAll("[data-picture]")) image.src = address;
}

function next() {
  while (under_way < AT_ONCE && waiting.length) {
    under_way += 1;
    const [file, row] = waiting.shift();
    send(file, row).catch((fault) => complain(row, fault)).finally(() => ((under_way -= 1), next()));
  }
}

async function send(file, row) {
  const body = new FormData();
  body.append("title", titled(file).slice(0, 200));
  body.append("image", file, "image");
  const response = await fetch(rows.dataset.path, { method: "POST", body }).catch(() => null);
  if (!response) throw new Error(_("The portal cannot be reached. See whether it still runs, then send it again."));
  if (response.status === 401) return leave();
  touched();
  if (!response.ok) throw new Error(await reason(response));
  row.innerHTML = await response.text(); // a part of a page of this site, escaped there
  illustrate(row, row.dataset.address);
}

async function reason(response) {
  const { detail } = await response.json().catch(() => ({}));
  return detail || _("The portal answered %s.", response.status);
}

function complain(row, fault) {
  const words = document.createElement("p");
  words.className = "wrong";
  words.setAttribute("role", "alert");
  words.textContent = fault.message;
  row.querySelector("progress")?.replaceWith(words);
}

receive(document.getElementById("file"), take);
