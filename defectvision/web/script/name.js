// The name that somebody typed where nobody signs in, for a page that is loaded again: kept until
// the browser is closed, and sent to this server alone. See session/people.py.

(() => {
  if (globalThis.defectvisionName) return;
  globalThis.defectvisionName = true;

  document.body.addEventListener("focusout", (event) => {
    const field = event.target;
    if (!field.matches?.(".st-key-who input")) return;
    const name = encodeURIComponent(field.value.trim());
    document.cookie = `defectvision-name=${name}; path=/; SameSite=Strict`;
  });
})();
