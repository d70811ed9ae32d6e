// Flagging the answer on show. A family whose data-flag is set has another form.

import { Choice } from "./correcting.js";

const answer = document.getElementById("answer");

/** What the form of an answer needs. */
export function flagged({ reply, picture, name, part }) {
  return { root: part("flag"), picture, name, about: { prediction_id: reply.prediction_id, digest: reply.model.digest } };
}

answer.addEventListener("answered", ({ detail }) => {
  if (answer.dataset.flag) return;
  const answered = answer.dataset.answered.split(".").reduce((value, key) => value[key], detail.reply);
  new Choice({ ...flagged(detail), answered });
});
