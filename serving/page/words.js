// What scripts say, in the person's language where the page brings the words for it (the portal); English elsewhere.

const words = JSON.parse(document.body.dataset.words || "{}");

/** A text with its %s replaced in order: _("%s is gone.", name) */
export function _(text, ...values) {
  return (words[text] ?? text).replace(/%s/g, () => values.shift());
}
