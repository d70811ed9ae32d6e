// Flagging an answer: the picture and its correction are sent to the service, which stores both for training.

import { got, posted } from "./page.js";

const answer = document.getElementById("answer");

/** The form that flags an answer; `about` is sent with the picture. A family whose data-flag is set extends it. */
export class Flag {
  constructor({ reply, picture, name, part }) {
    Object.assign(this, { picture, name, root: part("flag") });
    this.about = { prediction_id: reply.prediction_id, digest: reply.model.digest };
    this.form = this.root.querySelector("form");
    this.status = this.root.querySelector("[role=status]");
    this.form.addEventListener("submit", (event) => (event.preventDefault(), this.send()));
    this.form.addEventListener("change", () => this.report(""));
    this.root.addEventListener("toggle", () => this.open());
  }

  report(text) {
    this.status.textContent = text;
  }

  async send() {
    this.report("");
    try {
      const fields = { ...this.about, answer: this.answered, correction: this.correction };
      const { count } = await (await posted("flag", this.picture, this.name, undefined, fields)).json();
      this.report(`Stored in ${this.root.dataset.folder} (${count.toLocaleString("en")} flagged)`);
    } catch (fault) {
      this.report(fault.message);
    }
  }
}

/** A correction chosen from a list. */
class Choice extends Flag {
  constructor(detail) {
    super(detail);
    this.answered = answer.dataset.answered.split(".").reduce((value, key) => value[key], detail.reply);
    this.select = this.form.elements.really;
  }

  get correction() {
    return this.select.value;
  }

  async open() {
    if (!this.root.open || this.select.options.length) return;
    try {
      const { choices } = await got("flag");
      this.select.replaceChildren(new Option("Choose", ""), ...choices.map((choice) => new Option(choice)));
    } catch (fault) {
      this.report(fault.message);
    }
  }
}

answer.addEventListener("answered", ({ detail }) => {
  if (!answer.dataset.flag) new Choice(detail);
});
