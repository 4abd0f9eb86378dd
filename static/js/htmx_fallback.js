// Runs before the htmx tag. When the CDN cannot be had, the copy that the operator installed (if any)
// takes its place; without either, every page still works with plain forms and links.
(() => {
  const local = document.currentScript.dataset.localHtmx;
  if (!local) return;

  // Load errors do not bubble, so the listener captures.
  document.addEventListener(
    "error",
    (event) => {
      if (!(event.target instanceof HTMLScriptElement) || !event.target.hasAttribute("data-htmx")) return;
      const script = document.createElement("script");
      script.src = local;
      document.head.append(script);
    },
    true,
  );
})();
