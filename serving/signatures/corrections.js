// Flagging the boxes of the page on show, which boxes.js tells of.

import { BoxesFlag } from "./boxcorrections.js";
import { flagged } from "./flag.js";

const answer = document.getElementById("answer");
let flag = null; // of the answer on show

answer.addEventListener("answered", ({ detail }) => {
  flag = new BoxesFlag(flagged(detail));
});
answer.addEventListener("paged", ({ detail }) => flag.show(detail));
