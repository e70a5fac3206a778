// What the picture and the table of regions share. They are components of their own, so that a moved
// threshold sends the masks and not the picture; either may come first. Nothing here goes to Python.

const link = (globalThis[Symbol.for("defectvision.regions")] ??= Object.assign(new EventTarget(), {
  masks: null, // what Python says of the open image's masks
  regions: [],
  selected: null, // the chosen region's number
  order: [], // regions in the table's order, those of hidden classes left out
  hidden: new Set(), // "line class" of the classes that are switched off; stays between images
}));

const whole = (value) => Math.round(value).toLocaleString("en-US");

// `what`: "masks", "classes" or "select"; `from`: "picture", "table" or nothing.
function tell(what, from) {
  link.dispatchEvent(new CustomEvent(what, { detail: { from } }));
}

function shown(region) {
  return !link.hidden.has(region.name);
}

function choose(index, from) {
  link.selected = index;
  tell("select", from);
}

function make(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

// Arrow keys go along the table's order, Enter and the space bar choose, Escape chooses nothing.
function keys(event, current, go, from) {
  const step = { ArrowDown: 1, ArrowRight: 1, ArrowUp: -1, ArrowLeft: -1 }[event.key];
  if (step) {
    const next = link.order[link.order.indexOf(current) + step];
    if (next !== undefined) go(next);
  } else if (event.key === "Enter" || event.key === " ") choose(current, from);
  else if (event.key === "Escape") choose(null, from);
  else return;
  event.preventDefault();
  event.stopPropagation();
}
