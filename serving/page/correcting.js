// Correcting an answer: the picture and its correction are sent to the service, which stores both for training.

import { got, posted } from "./requests.js";
import { _ } from "./words.js";

/** The form that flags an answer. `about` is sent with the picture, to `path`, which also lists the choices. */
export class Flag {
  constructor({ root, picture, name, about, path = "flag" }) {
    Object.assign(this, { root, picture, name, about, path });
    this.form = this.root.querySelector("form");
    this.status = this.root.querySelector("[role=status]");
    this.form.addEventListener("submit", (event) => (event.preventDefault(), this.send()));
    this.form.addEventListener("change", () => this.report(""));
    this.root.addEventListener("toggle", () => this.open());
  }

  /** Called when the form is unfolded or folded. */
  open() {}

  report(text) {
    this.status.textContent = text;
  }

  async send() {
    this.report("");
    try {
      const fields = { ...this.about, answer: this.answered, correction: this.correction };
      const { count } = await (await posted(this.path, this.picture, this.name, undefined, fields)).json();
      this.done(count);
    } catch (fault) {
      this.report(fault.message);
    }
  }

  done(count) {
    const { folder } = this.root.dataset;
    this.report(folder ? `Stored in ${folder} (${count.toLocaleString("en")} flagged)` : _("Stored for training. Thank you."));
    this.root.dispatchEvent(new CustomEvent("corrected", { bubbles: true }));
  }
}

/** A correction chosen from a list. */
export class Choice extends Flag {
  constructor(detail) {
    super(detail);
    this.answered = detail.answered;
    this.select = this.form.elements.really;
  }

  get correction() {
    return this.select.value;
  }

  async open() {
    if (!this.root.open || this.select.options.length) return;
    try {
      const { choices } = await got(this.path);
      this.select.replaceChildren(new Option(_("Choose"), ""), ...choices.map((choice) => new Option(choice)));
    } catch (fault) {
      this.report(fault.message);
    }
  }
}
