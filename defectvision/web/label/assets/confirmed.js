// Hands what Python confirms to the canvas, and names the canvas' keys below it.

const confirmations = (globalThis[Symbol.for("defectvision.label")] ??= Object.assign(
  new EventTarget(), { heard: new Map() },
));
const MOVES = "wheel or + − zooms, 0 fits, the space bar or the middle button moves the picture. ";
const DRAWS = "Shift takes away, [ ] sizes the brush, Ctrl+Z undoes, Delete removes a class. ";

export default function ({ data, parentElement }) {
  const { opening, number, refused, drawable } = data;
  confirmations.heard.clear();
  confirmations.heard.set(opening, { number, refused });
  confirmations.dispatchEvent(new Event("heard"));
  parentElement.querySelector(".help").textContent =
    `Digits choose the class, Enter saves and goes on, ← → change the image; ${MOVES}` +
    (drawable ? DRAWS : "");
}
