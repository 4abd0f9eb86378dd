// Behaviours bound by data- attributes. Each is absent without harm: the page works with none of them.

/** data-copy="<id>": a button that copies that element's text. It starts hidden, since it needs a script. */
function enableCopy(button) {
  const source = document.getElementById(button.dataset.copy);
  if (!source || !navigator.clipboard) return;
  const words = button.textContent;
  button.hidden = false;
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(source.textContent.trim());
      button.textContent = "Copied";
    } catch {
      // The browser said no: select the text, so that the keyboard can copy it.
      getSelection().selectAllChildren(source);
      button.textContent = "Selected: press Ctrl+C";
    }
    setTimeout(() => { button.textContent = words; }, 4000);
  });
}

const localInstant = new Intl.DateTimeFormat("en-GB", {
  year: "numeric", month: "short", day: "numeric", hour: "2-digit", minute: "2-digit", timeZoneName: "short",
});

/** data-local-time: a <time> in the reader's zone; the absolute UTC text stays as its title. */
function localiseTime(element) {
  const instant = new Date(element.dateTime);
  if (Number.isNaN(instant.getTime()) || instant.getTimezoneOffset() === 0) return;
  element.title = element.textContent.trim();
  element.textContent = localInstant.format(instant);
}

/** data-poll="<seconds>": a link that htmx follows by itself after a while, but not while nobody looks. */
function poll(link) {
  const go = () => {
    if (document.hidden) document.addEventListener("visibilitychange", go, { once: true });
    else if (link.isConnected) link.dispatchEvent(new Event("poll"));
  };
  const wait = () => setTimeout(go, Number(link.dataset.poll) * 1000);
  // What comes back brings a link of its own; where nothing came, this one tries again.
  link.addEventListener("htmx:afterRequest", (event) => { if (!event.detail.successful) wait(); });
  wait();
}

const behaviours = [
  ["[data-copy]", enableCopy],
  ["time[data-local-time]", localiseTime],
  ["[data-poll]", poll],
];

// htmx announces the whole page once it starts, and a second listener would copy twice.
const enhanced = new WeakSet();

function enhance(root) {
  for (const [selector, start] of behaviours) {
    const found = [...(root.matches?.(selector) ? [root] : []), ...root.querySelectorAll(selector)];
    for (const element of found) {
      if (enhanced.has(element)) continue;
      enhanced.add(element);
      start(element);
    }
  }
}

/** data-dialog: the <dialog> into which htmx loads the question that a link otherwise opens as a page. */
function isDialog(element) {
  return element instanceof HTMLDialogElement && element.hasAttribute("data-dialog");
}

document.addEventListener("htmx:afterSwap", (event) => {
  const dialog = event.detail.target;
  if (isDialog(dialog) && !dialog.open) dialog.showModal();
});

// Anything but bad input ends the question; the flash behind the dialog tells how.
document.addEventListener("htmx:afterRequest", (event) => {
  const dialog = event.detail.requestConfig.elt.closest("dialog[data-dialog]");
  if (dialog && event.detail.xhr.status !== 0 && event.detail.xhr.status !== 422) dialog.close();
});

document.addEventListener("click", (event) => {
  const cancel = event.target.closest?.("[data-dialog-close]");
  const dialog = cancel?.closest("dialog[data-dialog]");
  if (!dialog) return;
  event.preventDefault();
  dialog.close();
});

// htmx announces every element that it put into the page.
document.addEventListener("htmx:load", (event) => enhance(event.detail.elt));

enhance(document);
