// Making elements. Texts are always set as texts: nothing that comes from the rig becomes markup.

export const $ = (id) => document.getElementById(id);

// make("button", {id, class, onclick, "aria-label": …}, "text", element, …)
export function make(name, about = {}, ...content) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(about)) {
    if (value === undefined || value === false) continue;
    if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else made.setAttribute(key, value === true ? "" : value);
  }
  made.append(...content.filter((each) => each != null));
  return made;
}

// Set a text that is mostly the same as before: the browser has nothing to do then.
export function say(element, text) {
  const wanted = String(text);
  if (element.textContent !== wanted) element.textContent = wanted;
}

// How far something is, as a share of the whole; what is no number is shown as not known.
export function fill(progress, share) {
  if (Number.isFinite(share)) progress.value = share;
  else progress.removeAttribute("value");
}

// Let the person keep what was made.
export function download(blob, name) {
  const link = make("a", { href: URL.createObjectURL(blob), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

// What a person set on this computer, kept for the next time; a browser that keeps nothing is no error.
export function remembered(name, otherwise) {
  try {
    return localStorage.getItem(`rdaq.${name}`) ?? otherwise;
  } catch {
    return otherwise;
  }
}

export function remember(name, value) {
  try {
    localStorage.setItem(`rdaq.${name}`, value);
  } catch {
    // Private windows keep nothing.
  }
}
