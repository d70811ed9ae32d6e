// The end of a session that nobody uses: a warning before, and what was typed kept until the next sign-in.

const { idle, root } = document.body.dataset;
const LIMIT = Number(idle) * 1000; // milliseconds
const WARNING = Math.min(60_000, LIMIT / 2);
const LAST = `atelier-last-request ${root}`; // shared by all tabs
const KEPT = `atelier-form ${location.pathname}`;
const dialog = document.getElementById("idle");

/** A request was answered: the session lasts from now on. */
export function touched() {
  localStorage.setItem(LAST, Date.now());
}

/** The session is over, also where the portal does not know it yet: to the sign-in page, which leads back here. */
export async function leave() {
  clearInterval(looking);
  sessionStorage.setItem(KEPT, JSON.stringify(fields().map((field) => field.value)));
  await fetch(`${root}/sign-out`, { method: "POST" }).catch(() => null);
  const here = location.pathname.slice(root.length) + location.search;
  location.assign(`${root}/sign-in?${new URLSearchParams({ next: here, ended: 1 })}`);
}

function fields() {
  return [...document.querySelectorAll("form[data-keep] :is(input, select, textarea)")];
}

function restore() {
  const values = JSON.parse(sessionStorage.getItem(KEPT) ?? "[]");
  sessionStorage.removeItem(KEPT);
  fields().forEach((field, index) => (field.value = values[index] ?? field.value));
}

function look() {
  const left = Number(localStorage.getItem(LAST)) + LIMIT - Date.now();
  if (left <= 0) return leave();
  if (left > WARNING) return dialog.close();
  dialog.querySelector("[data-is=seconds]").textContent = `${Math.ceil(left / 1000)} s`;
  if (!dialog.open) dialog.showModal();
}

async function stay() {
  const response = await fetch(`${root}/session`, { method: "POST" }).catch(() => null);
  if (response?.ok) touched();
  else if (response?.status === 401) leave();
}

touched();
restore();
dialog.querySelector("[data-do=stay]").addEventListener("click", stay);
const looking = setInterval(look, 500);
