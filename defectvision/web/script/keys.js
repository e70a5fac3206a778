// The keys of all pages, and the menu's entry of the open one. A field keeps the focus after a
// choice, and Streamlit ignores shortcuts in fields: so a field is left once its entry is made, and
// with Escape. The place from which the Tab key goes on stays where it was.

(() => {
  if (globalThis.defectvisionKeys) return;
  globalThis.defectvisionKeys = true;

  const FIELD = "input, textarea, select, [contenteditable=true]";
  const NO_TEXT = "input:is([type=radio], [type=checkbox], [type=range])";
  const CLOSES = 200; // ms until a list of options is gone
  const origin = (event) => event.composedPath()[0];
  const field = (event) => (origin(event).matches?.(FIELD) ? origin(event) : null);

  // Not while its list of options is open.
  function leave(node) {
    if (node?.matches?.(FIELD) && node.getAttribute("aria-expanded") !== "true") node.blur();
  }
  const leaveSoon = () => setTimeout(() => leave(document.activeElement), CLOSES);

  // On the body: after the fields, before the document, where shortcuts are heard.
  document.body.addEventListener("keydown", (event) => {
    const node = field(event);
    if (!node) return;
    if (event.key === "Escape") {
      event.stopPropagation();
      setTimeout(() => node.blur());
    } else if (event.key === "Enter" && !node.matches("textarea")) {
      leaveSoon();
    } else if (node.matches(NO_TEXT) && /^[a-z0-9]$/i.test(event.key)) {
      // A letter means nothing to a switch, and the arrow keys need its focus.
      event.stopPropagation();
      document.dispatchEvent(new KeyboardEvent("keydown", event));
    }
  });
  document.body.addEventListener("click", (event) => {
    if (origin(event).closest?.("[role=option]")) leaveSoon();
  });

  // Streamlit keeps the address where the menu's entry of the open page is chosen: the way from one
  // thing to all of them is the page's own button then.
  addEventListener("click", (event) => {
    const entry = origin(event).closest?.("a[aria-current=page]");
    const back = document.querySelector(".st-key-all-of-page button");
    if (!entry || !back || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    event.stopPropagation();
    back.click();
  }, { capture: true });

  // The browser finds what is on the page; the table would search its own page alone.
  addEventListener("keydown", (event) => {
    const searches = (event.ctrlKey || event.metaKey) && event.key === "f";
    if (searches && origin(event).closest?.(".st-key-part-of-more")) event.stopPropagation();
  }, { capture: true });
})();
