// Files that are chosen in a field, dropped on the page, or pasted.

/** Calls take(files) with a list of files, whichever way they come; `file` is the field, in a zone that shows where to drop. */
export function receive(file, take) {
  const zone = file.parentElement;
  const over = (state) => zone.classList.toggle("over", state);
  file.addEventListener("change", () => {
    take([...file.files]);
    file.value = ""; // the same file can be chosen again
  });
  document.addEventListener("paste", (event) => take([...(event.clipboardData?.files ?? [])]));
  document.addEventListener("dragover", (event) => (event.preventDefault(), over(true)));
  document.addEventListener("dragleave", (event) => over(event.relatedTarget !== null));
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    over(false);
    take([...(event.dataTransfer?.files ?? [])]);
  });
}
