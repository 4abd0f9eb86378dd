// Runs before the htmx tag and looks after it. Without htmx every page still works with plain forms and links.
(() => {
  const local = document.currentScript.dataset.localHtmx;
  const isHtmx = (target) => target instanceof HTMLScriptElement && target.hasAttribute("data-htmx");
  let isParsed = false;
  document.addEventListener("DOMContentLoaded", () => { isParsed = true; }, { once: true });

  // Events of loading do not bubble, so both listeners capture.
  // The CDN cannot be had: the copy that the operator installed, if any, takes its place.
  document.addEventListener("error", (event) => {
    if (!local || !isHtmx(event.target) || event.target.dataset.htmx === "local") return;
    const script = document.createElement("script");
    script.dataset.htmx = "local";
    script.src = local;
    document.head.append(script);
  }, true);

  // htmx 2 starts on DOMContentLoaded, or at once if the document is complete. An async script that
  // arrives between the two would wait for ever, so it gets the event again.
  document.addEventListener("load", (event) => {
    if (isHtmx(event.target) && isParsed && document.readyState !== "complete") {
      document.dispatchEvent(new Event("DOMContentLoaded"));
    }
  }, true);
})();
