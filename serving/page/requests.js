// Requests to the service: a picture in a form, or JSON; a refusal is an Error with its reason.

import { _ } from "./words.js";

/** The service's response to a picture and further fields; throws an Error with its reason. */
export async function posted(path, picture, name, signal, fields = {}) {
  const body = new FormData();
  body.append("image", picture, name);
  for (const [field, value] of Object.entries(fields)) body.append(field, value);
  return answered(path, { method: "POST", body, signal });
}

/** The JSON at an address of the service; throws an Error with its reason. */
export async function got(path, signal) {
  return (await answered(path, { signal })).json();
}

async function answered(path, how) {
  const response = await fetch(path, how).catch(unreachable);
  if (response.ok) return response;
  const { detail } = await response.json().catch(() => ({}));
  const fault = new Error(detail || _("The service answered %s.", `${response.status} ${response.statusText}`.trim()));
  throw Object.assign(fault, { status: response.status });
}

function unreachable(fault) {
  if (fault.name === "AbortError") throw fault;
  throw new Error(_("The service cannot be reached. See whether it still runs, then ask again."));
}
