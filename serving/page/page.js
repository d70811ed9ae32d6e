// Asks the service about a picture and shows the answer; upload, drop and paste. draw.js tells of a drawing by an event.

import { receive } from "./drop.js";
import { posted } from "./requests.js";

const answer = document.getElementById("answer");
const result = document.getElementById("result");
const problem = document.getElementById("problem");
const busy = document.getElementById("busy");
const file = document.getElementById("file");
let asking = null; // the request under way, so that a newer one replaces it
let shown = null; // the address of the picture on show, revoked when another follows

/** Asks about one picture: a Blob, and the name of its file. */
async function ask(picture, name) {
  asking?.abort();
  const own = (asking = new AbortController());
  begin();
  try {
    const reply = await send(picture, name, own.signal);
    if (own === asking) show(reply, picture, name);
  } catch (fault) {
    if (own === asking) complain(fault);
  } finally {
    if (own === asking) setBusy(false);
  }
}

async function send(picture, name, signal) {
  const began = performance.now();
  const content = await (await posted(answer.dataset.path, picture, name, signal)).json();
  return { ...content, latency: performance.now() - began };
}

function begin() {
  problem.textContent = "";
  setBusy(true);
}

function setBusy(state) {
  busy.hidden = !state;
  answer.setAttribute("aria-busy", state);
}

/** Shows an error in place of an answer. */
export function complain(fault) {
  result.replaceChildren();
  problem.textContent = fault.message;
  reveal(problem);
}

function show(reply, picture, name) {
  const view = document.getElementById("answer-template").content.cloneNode(true);
  const part = (role) => view.querySelector(`[data-is="${role}"]`);
  part("latency").textContent = `${Math.round(reply.latency)} ms`;
  if (part("prediction")) classify(part, reply, picture, name);
  explain(part, reply);
  answer.dispatchEvent(new CustomEvent("answered", { detail: { reply, picture, name, part } })); // a family's script shows the rest
  result.replaceChildren(view);
  reveal(result.firstElementChild);
}

function classify(part, reply, picture, name) {
  part("prediction").textContent = reply.prediction;
  part("confidence").textContent = capitalised(certainty(reply.confidence));
  illustrate(part("picture"), picture, name);
  part("ranking")?.replaceChildren(...reply[answer.dataset.ranking].map(rank));
}

/** On a phone the answer is below the question: scrolls it into view. */
function reveal(part) {
  const { top, bottom } = part.getBoundingClientRect();
  if (top < 0 || bottom > innerHeight) answer.scrollIntoView();
}

function illustrate(place, picture, name) {
  if (shown) URL.revokeObjectURL(shown);
  const image = new Image();
  image.src = shown = URL.createObjectURL(picture);
  image.alt = `The submitted image: ${name}`;
  place.replaceWith(image);
}

function rank(entry) {
  const row = document.getElementById("rank-template").content.cloneNode(true);
  row.querySelector(".name").textContent = entry[answer.dataset.label];
  row.querySelector(".share").textContent = percent(entry.confidence);
  row.querySelector(".bar span").style.width = `${entry.confidence * 100}%`;
  return row;
}

function explain(part, { model, prediction_id }) {
  const { family, version, ...hashes } = model;
  const rows = { version: `${family}, version ${version}`, ...hashes, answer: prediction_id };
  part("model").replaceChildren(...Object.entries(rows).map(fact));
  part("stale").hidden = String(version) === answer.dataset.version;
  part("stale").textContent = `Version ${version} is served now. Reload this page to read about it.`;
  part("command").textContent = `make lineage of=${family}@v${version}`;
  part("copy").addEventListener("click", copy);
}

function fact([name, value]) {
  const row = document.createElement("div");
  const term = row.appendChild(document.createElement("dt"));
  const detail = row.appendChild(document.createElement("dd"));
  term.textContent = name.replace("run_id", "run");
  detail.textContent = value ?? "not recorded";
  detail.title = detail.textContent;
  return row;
}

async function copy({ currentTarget: button }) {
  const command = button.previousElementSibling;
  try {
    await navigator.clipboard.writeText(command.textContent);
    button.textContent = "Copied";
  } catch {
    getSelection().selectAllChildren(command); // no clipboard without HTTPS: selected, one key away
    button.textContent = "Selected";
  }
}

/** 0.9968 -> 99.68% */
function percent(share) {
  return `${(share * 100).toFixed(2)}%`;
}

/** 0.9968 -> sure (99.68%), 0.62 -> check this one (62.00%) */
export function certainty(share) {
  return `${share >= Number(answer.dataset.sure) ? "sure" : "check this one"} (${percent(share)})`;
}

function capitalised(words) {
  return words[0].toUpperCase() + words.slice(1);
}

function upload(files) {
  const picture = files[0];
  if (picture) ask(picture, picture.name || "pasted picture");
}

if (file) receive(file, upload);
document.addEventListener("pictured", ({ detail }) => ask(detail.picture, detail.name));
