// The frame of the page's application: as tall as its content, with a status text until it is built.

const frame = document.getElementById("desk");
const state = document.getElementById("frame-state");
const LEAST = 320; // pixels
const SPARE = 12; // pixels below the last part: frames of focus are not cut off

function followed() {
  const inside = frame.contentDocument;
  const shown = inside?.querySelector("gradio-app");
  if (!shown) {
    state.textContent = "The application cannot be shown. Reload this page, and sign in if it asks.";
    return;
  }
  const sized = new ResizeObserver(() => fit(inside));
  const built = new MutationObserver(() => {
    if (!inside.querySelector("main button")) return;
    built.disconnect();
    state.hidden = true;
    for (const part of inside.querySelector("main").children) sized.observe(part);
  });
  built.observe(shown, { childList: true, subtree: true });
}

/** The parts are measured, not the page around them, which is never lower than its frame. */
function fit(inside) {
  const parts = [...inside.querySelector("main").children].map((part) => part.getBoundingClientRect().bottom);
  const height = Math.max(LEAST, Math.ceil(Math.max(...parts) + inside.defaultView.scrollY) + SPARE);
  if (Math.abs(height - frame.clientHeight) > 1) frame.style.height = `${height}px`;
}

frame.addEventListener("load", followed);
if (frame.contentDocument?.querySelector("gradio-app")) followed();
