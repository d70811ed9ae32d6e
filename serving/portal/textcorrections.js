// Correcting lines of text: each changed line is sent with its own part of the image, cut out here.

import { Flag } from "./correcting.js";
import { posted } from "./requests.js";
import { _ } from "./words.js";

const LINE = 0.4; // of an image's height: a single line that takes more is the whole image
const MARGIN = 2; // pixels around a line that is cut out

/** The lines of an answer, each in a field. */
export class TextFlag extends Flag {
  async send() {
    this.report("");
    const changed = [...this.form.querySelectorAll("[name=line]")].filter((field) => field.value.trim() !== field.dataset.was.trim());
    if (!changed.length) return this.report(_("Nothing was corrected. Change the lines that are wrong, then send."));
    try {
      const image = await createImageBitmap(this.picture);
      let count = 0;
      for (const field of changed) ({ count } = await this.sendLine(field, image));
      this.done(count);
    } catch (fault) {
      this.report(fault.message);
    }
  }

  async sendLine(field, image) {
    const fields = { ...this.about, answer: field.dataset.was, correction: field.value };
    const response = await posted(this.path, await this.cut(field, image), "line.png", undefined, fields);
    field.dataset.was = field.value;
    return response.json();
  }

  /** The image of a line: all of it where it is one line, upright as it was read. */
  async cut({ dataset }, image) {
    const turned = Number(dataset.turned);
    const alone = this.form.querySelectorAll("[name=line]").length === 1;
    const [x, y, w, h] = dataset.box ? JSON.parse(dataset.box) : [0, 0, image.width, image.height];
    if (alone && !turned && h >= LINE * image.height) return this.picture;
    const [left, top] = [Math.max(0, Math.round(x) - MARGIN), Math.max(0, Math.round(y) - MARGIN)];
    const [width, height] = [Math.min(image.width, Math.round(x + w) + MARGIN) - left, Math.min(image.height, Math.round(y + h) + MARGIN) - top];
    const canvas = new OffscreenCanvas(...(turned % 180 ? [height, width] : [width, height]));
    const pen = canvas.getContext("2d");
    pen.translate(canvas.width / 2, canvas.height / 2);
    pen.rotate((turned * Math.PI) / 180);
    pen.drawImage(image, left, top, width, height, -width / 2, -height / 2, width, height);
    return canvas.convertToBlob({ type: "image/png" });
  }
}
