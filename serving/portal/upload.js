// Several images to one product, chosen, dropped, pasted, drawn or photographed: each a row, with its image at once and its answer later.

import { alive, settle } from "./answers.js";
import { receive } from "./drop.js";
import { posted } from "./requests.js";
import { leave, touched } from "./session.js";
import { _ } from "./words.js";

const AT_ONCE = 2; // requests under way
const SMALL = 192; // pixels of the longer side of a picture that is kept
const ask = document.getElementById("ask");
const again = document.getElementById("again");
const rows = document.getElementById("rows");
const template = document.getElementById("row-template");
const waiting = [];
let under_way = 0;

function take(files) {
  if (!files.length) return;
  ask.hidden = true;
  again.hidden = false;
  for (const file of files) waiting.push([file, begin(file)]);
  next();
}

function begin(file) {
  const row = template.content.firstElementChild.cloneNode(true);
  row.querySelector("[data-is=title]").textContent = titled(file);
  alive(row, file);
  rows.append(row);
  return row;
}

function titled(file) {
  return file.name || _("pasted image");
}

function next() {
  while (under_way < AT_ONCE && waiting.length) {
    under_way += 1;
    const [file, row] = waiting.shift();
    send(file, row).catch((fault) => complain(row, fault)).finally(() => ((under_way -= 1), next()));
  }
}

async function send(file, row) {
  const small = "thumbnails" in rows.dataset ? await thumbnail(file) : "";
  const response = await posted(rows.dataset.path, file, "image", undefined, { title: titled(file).slice(0, 200), ...(small && { thumbnail: small }) });
  touched();
  row.innerHTML = await response.text(); // a part of a page of this site, escaped there
  settle(row, file);
}

/** A small picture as base64; empty where the browser cannot draw the file, such as a PDF. */
async function thumbnail(file) {
  const image = await createImageBitmap(file).catch(() => null);
  if (!image) return "";
  const scale = Math.min(1, SMALL / Math.max(image.width, image.height));
  const canvas = new OffscreenCanvas(Math.max(1, Math.round(image.width * scale)), Math.max(1, Math.round(image.height * scale)));
  const pen = canvas.getContext("2d");
  pen.fillStyle = "#fff";
  pen.fillRect(0, 0, canvas.width, canvas.height);
  pen.drawImage(image, 0, 0, canvas.width, canvas.height);
  const bytes = new Uint8Array(await (await canvas.convertToBlob({ type: "image/jpeg", quality: 0.8 })).arrayBuffer());
  return btoa(String.fromCharCode(...bytes));
}

function complain(row, fault) {
  if (fault.status === 401) return leave();
  const words = document.createElement("p");
  words.className = "wrong";
  words.setAttribute("role", "alert");
  words.textContent = fault.message;
  row.querySelector("progress")?.replaceWith(words);
}

/** The drawn example, as a PNG of its own size. */
async function example({ currentTarget: button }) {
  const image = Object.assign(new Image(), { src: button.dataset.example });
  await image.decode();
  const canvas = new OffscreenCanvas(image.naturalWidth, image.naturalHeight);
  canvas.getContext("2d").drawImage(image, 0, 0);
  take([new File([await canvas.convertToBlob({ type: "image/png" })], _("example.png"), { type: "image/png" })]);
}

document.querySelector("[data-example]")?.addEventListener("click", example);
receive(document.getElementById("file"), take);
document.addEventListener("pictured", ({ detail }) => take([new File([detail.picture], detail.name, { type: detail.picture.type })]));
document.addEventListener("corrected", touched);
